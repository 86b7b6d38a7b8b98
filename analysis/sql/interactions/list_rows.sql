-- One row per item of a file whose lines are lists: of each listener a line, the ids of its items after a first number.
-- $has_users  BOOLEAN, the first number is the listener's id; else how many items follow, and listeners are numbered from 0
-- FROM text_lines(line VARCHAR)
-- Columns:
--   user, track  VARCHAR
--   weight, timestamp, session, share, played, duration, position, organic, propensity, title, artist  VARCHAR, NULL
--   user_kind, track_kind  VARCHAR, 'untyped'
--   fault, text  VARCHAR, NULL
--   kept         VARCHAR, 'true'
WITH numbered AS (
    SELECT row_number() OVER () - 1 AS number, regexp_split_to_array(trim(line), '[ \t,]+') AS ids
    FROM text_lines
)
SELECT
    CASE WHEN $has_users THEN ids[1] ELSE CAST(number AS VARCHAR) END AS user,
    unnest(ids[2:]) AS track,
    CAST(NULL AS VARCHAR) AS weight, CAST(NULL AS VARCHAR) AS timestamp, CAST(NULL AS VARCHAR) AS session,
    CAST(NULL AS VARCHAR) AS share, CAST(NULL AS VARCHAR) AS played, CAST(NULL AS VARCHAR) AS duration,
    CAST(NULL AS VARCHAR) AS position, CAST(NULL AS VARCHAR) AS organic, CAST(NULL AS VARCHAR) AS propensity,
    CAST(NULL AS VARCHAR) AS title, CAST(NULL AS VARCHAR) AS artist,
    'untyped' AS user_kind, 'untyped' AS track_kind,
    CAST(NULL AS VARCHAR) AS fault, CAST(NULL AS VARCHAR) AS text, 'true' AS kept
FROM numbered
