-- One row per event of a slice, with its session: a 'last' closes one, and the next event opens another. What was
-- logged as the session's name plays no part: the original service logs none.
-- FROM ordered(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, credit INTEGER, is_named BOOLEAN, is_fallback BOOLEAN)
-- Columns:
--   user, arm, timestamp, track, time, latency, is_last, is_named, is_fallback  as in labelled_events.sql
--   position     BIGINT, from 1, in the order of the rows
--   credit       INTEGER, 1 or 2 where the first or second of two interleaved recommenders recommended the track
--   number       BIGINT, of the session in the slice, from 1
--   is_organic   BOOLEAN, opens its session
--   is_broken    BOOLEAN, the event before is of the same session and recommended another track, and no two of the
--                events from the one before that to the one after this are of the same millisecond, whose order is unknown
--   is_silent    BOOLEAN, half an hour or more after the event before
--   is_again     BOOLEAN, equals the event before, as a log that is read twice has it
-- The rows are read in their order, without another sort.
WITH followed AS (
    SELECT
        *,
        row_number() OVER () AS position,
        coalesce(user = lag(user) OVER () AND arm IS NOT DISTINCT FROM lag(arm) OVER (), false) AS follows,
        follows AND timestamp = lag(timestamp) OVER () AS is_tied,
        NOT follows OR lag(is_last) OVER () AS is_organic,
        lag(recommendation) OVER () AS recommended,
        lag(credit) OVER () AS credit_before,
        follows AND timestamp >= lag(timestamp) OVER () + 1800000 AS is_silent,
        is_tied
        AND (is_last, track, time, recommendation) IS NOT DISTINCT FROM lag((is_last, track, time, recommendation)) OVER () AS is_again
    FROM ordered
)
SELECT
    user, arm, timestamp, track, time, latency, is_last, is_named, is_fallback, position,
    CASE WHEN NOT is_organic AND track = recommended THEN credit_before END AS credit,
    count_if(is_organic) OVER (ROWS UNBOUNDED PRECEDING) AS number,
    is_organic,
    coalesce(NOT is_organic AND track <> recommended, false)
    AND NOT (is_tied OR lag(is_tied, 1, false) OVER () OR lead(is_tied, 1, false) OVER ()) AS is_broken,
    is_silent, is_again
FROM followed
