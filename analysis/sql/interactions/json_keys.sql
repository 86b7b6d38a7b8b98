-- One row per key of the objects in a file of JSON, those of nested objects by dots and those of lists with [], as they come.
-- FROM documents(line VARCHAR, document VARCHAR)
-- Columns:
--   key  VARCHAR, such as 'properties.track_id' or 'tracks[].title'
WITH structure AS (
    SELECT json_group_structure(document) AS keys
    FROM documents
    WHERE json_type(document) = 'OBJECT'
)
SELECT replace(replace(ltrim(fullkey, '$.'), '[0]', '[]'), '"', '') AS key
FROM structure, json_tree(keys)
WHERE atom IS NOT NULL
ORDER BY id
