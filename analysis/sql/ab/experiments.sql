-- One row per experiment that events name, by name.
-- FROM logged(experiments VARCHAR)
-- Columns:
--   name
SELECT DISTINCT unnest(json_keys(experiments)) AS name
FROM (SELECT DISTINCT experiments FROM logged)
ORDER BY name
