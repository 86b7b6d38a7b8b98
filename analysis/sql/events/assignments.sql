-- One row per distinct text of the experiments that events took part in.
-- FROM events(experiments VARCHAR)
-- Columns:
--   experiments  VARCHAR, JSON text, not NULL
SELECT DISTINCT experiments
FROM events
WHERE experiments IS NOT NULL
