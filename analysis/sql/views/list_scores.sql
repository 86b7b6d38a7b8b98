-- One row per line of a file of recommendations: the scores of its tracks.
-- $filename  VARCHAR, the file
-- FROM scored_lines(user VARCHAR)
-- FROM score_values(scores FLOAT[])
-- Columns:
--   filename, user, scores
SELECT $filename AS filename, user, scores
FROM scored_lines
POSITIONAL JOIN score_values
