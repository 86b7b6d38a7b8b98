-- One row per distinct text of the experiments that events took part in, NULL among them.
-- Parameters:
--   none
-- Tables:
--   batch(experiments VARCHAR)
-- Columns:
--   experiments  VARCHAR, JSON text
SELECT DISTINCT experiments
FROM batch
