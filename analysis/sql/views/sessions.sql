-- One row per listener and session. Plays without a session are divided by half an hour of silence, as a search divides them.
-- $has_moments  BOOLEAN, timestamps are moments, not positions
-- FROM named_plays(user BIGINT, timestamp BIGINT, amount DOUBLE, session VARCHAR)
-- FROM listener_names(id BIGINT, listener VARCHAR)
-- Columns:
--   listener    who played, an id as it was ingested
--   session     VARCHAR, the session's name, unique within its listener; a derived name begins with @ or #
--   started_at  TIMESTAMP in UTC, the first play; NULL if plays have no times
--   ended_at    TIMESTAMP in UTC, the last play
--   plays       BIGINT, number of plays
--   amount      DOUBLE, sum of the plays' amounts, or else of their shares
SELECT
    coalesce(any_value(listener), cast_to_type(named_plays.user, any_value(listener))) AS listener, session,
    if($has_moments, epoch_ms(min(timestamp)), NULL) AS started_at,
    if($has_moments, epoch_ms(max(timestamp)), NULL) AS ended_at,
    count(*) AS plays, sum(amount) AS amount
FROM named_plays
LEFT JOIN listener_names ON id = named_plays.user
GROUP BY named_plays.user, session
