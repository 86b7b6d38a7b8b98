-- One row per session, with the split that it is in, by the kind of the split. A draw by hash depends on the seed, the listener
-- and the session's name alone, so that it is the same on any cluster and however the store is partitioned.
-- $kind       VARCHAR, 'session_hash', 'newest', 'last_session', 'time' or 'files'
-- $seed       BIGINT, the configuration's seed
-- $holdout    DOUBLE, share of the sessions that is drawn by hash, or of each listener's, 0..1
-- $cutoff_ms  BIGINT, milliseconds since the epoch, UTC, at which a split by time cuts
-- FROM named_plays(user BIGINT, timestamp BIGINT, session VARCHAR)
-- Columns:
--   user, session  the listener and the session's name
--   number         BIGINT, from 1, by listener, then name
--   start_ms       BIGINT, the session's first millisecond since the epoch, UTC
--   heldout        BOOLEAN, the session is held out of training
WITH sessions AS (
    SELECT user, session, row_number() OVER (ORDER BY user, session) AS number, min(timestamp) AS start_ms
    FROM named_plays
    GROUP BY user, session
)
SELECT
    user, session, number, start_ms,
    CASE $kind
        WHEN 'session_hash'
        -- The last eight of the hash's bytes, as `md5_number_lower` has them at three times the price.
        THEN CAST(md5_number(concat_ws(' ', CAST($seed AS BIGINT), user, session)) >> 64 AS DOUBLE) / 18446744073709551616.0 < $holdout
        -- Of listeners with at least two sessions.
        WHEN 'last_session'
        THEN row_number() OVER (PARTITION BY user ORDER BY start_ms DESC, session DESC) = 1
            AND count(*) OVER (PARTITION BY user) > 1
        -- Rounded up for training: a listener's only session stays there.
        WHEN 'newest'
        THEN row_number() OVER (PARTITION BY user ORDER BY start_ms, session)
            > ceil(count(*) OVER (PARTITION BY user) * (1 - $holdout) - 1e-9)
        WHEN 'time' THEN start_ms >= $cutoff_ms
        -- `named_plays.sql` begins the names of all sessions with 'test' or 'train'.
        WHEN 'files' THEN starts_with(session, 'test')
    END AS heldout
FROM sessions
