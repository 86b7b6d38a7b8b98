-- One row per line of some event logs with text ids, each of which becomes the number that stands for it in stores:
-- `interactions/text_ids.sql`. An empty text fails the statement with 'odd line'.
-- $text_users   BOOLEAN, the ids of listeners are text
-- $text_tracks  BOOLEAN, the ids of tracks are text
-- FROM text_values(message VARCHAR, timestamp BIGINT, user VARCHAR, track VARCHAR, time DOUBLE, latency DOUBLE, recommendation VARCHAR, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   message, timestamp, user, track, time, latency, recommendation, experiments, session, recommender, propensity  as logged, the ids as numbers
SELECT
    * REPLACE (
        CASE
            WHEN '' IN (CAST(user AS VARCHAR), CAST(track AS VARCHAR), coalesce(CAST(recommendation AS VARCHAR), '-'))
            THEN error('odd line')
            WHEN $text_users THEN CAST(md5_number_lower(CAST(user AS VARCHAR)) >> 1 AS BIGINT)
            ELSE CAST(user AS BIGINT)
        END AS user,
        CASE WHEN $text_tracks THEN CAST(md5_number_lower(CAST(track AS VARCHAR)) >> 1 AS BIGINT)
            ELSE CAST(track AS BIGINT) END AS track,
        CASE WHEN $text_tracks THEN CAST(md5_number_lower(CAST(recommendation AS VARCHAR)) >> 1 AS BIGINT)
            ELSE CAST(recommendation AS BIGINT) END AS recommendation
    )
FROM text_values
