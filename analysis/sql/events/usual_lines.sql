-- One row per line of some event logs, all of them JSON; another one is an error.
-- $structure  VARCHAR, a JSON object: the fields of an event and their types
-- FROM lines(line VARCHAR, position BIGINT)
-- Columns:
--   event     STRUCT of the fields, each of its type, NULL where there is no such value; experiments are JSON text
--   position  as in lines
SELECT json_transform(line, $structure) AS event, position
FROM lines
