-- One row: how many faults a held-out table has; all of them zero means that it can be used.
-- FROM heldout(user BIGINT, track BIGINT, time DOUBLE)
-- Columns:
--   nulls      rows with an empty column
--   bad_times  rows whose listening time is negative, infinite or not a number
--   repeated   rows beyond the first of their user and track
SELECT
    count(*) FILTER (user IS NULL OR track IS NULL OR time IS NULL) AS nulls,
    count(*) FILTER (NOT isfinite(time) OR time < 0) AS bad_times,
    count(*) - (SELECT count(*) FROM (SELECT DISTINCT user, track FROM heldout)) AS repeated
FROM heldout
