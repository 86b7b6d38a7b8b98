-- One row per number that stands for several text ids.
-- FROM ids(id BIGINT, original VARCHAR)
-- Columns:
--   id      BIGINT
--   first   VARCHAR, one of the texts
--   second  VARCHAR, another
SELECT id, min(original) AS first, max(original) AS second
FROM ids
GROUP BY id
HAVING first <> second
ORDER BY id
