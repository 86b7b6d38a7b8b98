-- One row per listener with a text id: the number that stands for it in files.
-- FROM listener_ids(id BIGINT, original VARCHAR)
-- Columns:
--   id        BIGINT
--   listener  VARCHAR, the id as it was ingested
SELECT id, min(original) AS listener
FROM listener_ids
GROUP BY id
