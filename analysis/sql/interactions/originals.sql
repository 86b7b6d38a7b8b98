-- One row per distinct number of some text ids.
-- Parameters:
--   none
-- Tables:
--   ids(id BIGINT, original VARCHAR)
-- Columns:
--   id        BIGINT
--   original  VARCHAR, the text it stands for
SELECT DISTINCT id, original
FROM ids
ORDER BY id
