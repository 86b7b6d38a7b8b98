-- Pairs as LightGCN publishes them, in train.txt and test.txt: a line has a listener, then the items.
SELECT ids[1] AS listener, unnest(ids[2:]) AS track
FROM (
    SELECT regexp_split_to_array(trim(line), '[ \t,]+') AS ids
    FROM read_csv({path}, columns = {line: 'VARCHAR'}, delim = '¦', quote = '', escape = '', header = false, auto_detect = false)
)
