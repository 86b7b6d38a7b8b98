-- One row per listener of an arm and row that a table has of it, in the arm or before the experiment, by listener.
-- $arm   VARCHAR, the arm
-- $side  VARCHAR, whose rows are wanted: the arm's, or NULL for the time before the experiment
-- FROM known_whole(user BIGINT, arm VARCHAR)
-- FROM measured(user BIGINT, arm VARCHAR, part BIGINT)
-- Columns:
--   user  with what else the table has, NULL where it has no row
SELECT known_whole.user, measured.* EXCLUDE (user, arm, part)
FROM known_whole
LEFT JOIN measured ON measured.user = known_whole.user AND measured.arm IS NOT DISTINCT FROM $side
WHERE known_whole.arm = $arm
ORDER BY known_whole.user
