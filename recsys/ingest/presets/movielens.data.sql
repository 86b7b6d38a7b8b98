-- MovieLens' u.data, of 100,000.
SELECT column0 AS listener, column1 AS track, to_timestamp(column3) AS played_at
FROM read_csv({path}, delim = '\t', header = false)
WHERE column2 >= 4  -- is liked, as in most published protocols
