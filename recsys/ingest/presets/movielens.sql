-- MovieLens' ratings.csv, from the data set of 20 million ratings on.
SELECT userId AS listener, movieId AS track, to_timestamp("timestamp") AS played_at
FROM {path}
WHERE rating >= 4  -- is liked, as in most published protocols
