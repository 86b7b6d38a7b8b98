-- One row per play.
-- $has_moments  BOOLEAN, timestamps are moments, not positions
-- $has_seconds  BOOLEAN, amounts are seconds
-- FROM stored(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, share DOUBLE, session VARCHAR, organic BOOLEAN, disliked BOOLEAN, propensity DOUBLE)
-- FROM listener_names(id BIGINT, listener VARCHAR)
-- FROM track_names(id BIGINT, track VARCHAR, title VARCHAR, artist VARCHAR)
-- Columns:
--   listener       who played, an id as it was ingested
--   track          the track that was played, an id as it was ingested
--   title, artist  VARCHAR, NULL if unknown
--   played_at      TIMESTAMP in UTC; NULL if plays have no times
--   position       BIGINT, the order of a listener's plays without times
--   amount         DOUBLE, seconds or another weight of the play; NULL if the share says how much was heard
--   seconds        DOUBLE, how long it was heard; NULL if the source does not say
--   share          DOUBLE, share of the track that was heard, 0 to 1
--   session        VARCHAR, the session's own name; the view `sessions` also has derived sessions
--   organic        BOOLEAN, the listener chose the track
--   disliked       BOOLEAN, the listener said so
--   propensity     DOUBLE, probability with which the track was recommended
SELECT
    coalesce(listener, cast_to_type(stored.user, listener)) AS listener,
    coalesce(track_names.track, cast_to_type(stored.track, track_names.track)) AS track,
    title, artist,
    if($has_moments, epoch_ms(timestamp), NULL) AS played_at,
    if($has_moments, NULL, timestamp) AS position,
    amount,
    if($has_seconds, amount, NULL) AS seconds,
    share, session, organic, disliked, propensity
FROM stored
LEFT JOIN listener_names ON listener_names.id = stored.user
LEFT JOIN track_names ON track_names.id = stored.track
