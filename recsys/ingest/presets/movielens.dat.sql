-- MovieLens' ratings.dat, of 1 and 10 million.
SELECT column0 AS listener, column1 AS track, to_timestamp(column3) AS played_at
FROM read_csv({path}, delim = '::', header = false)
WHERE column2 >= 4  -- is liked, as in most published protocols
