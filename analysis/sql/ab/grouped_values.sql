-- One row per listener, arm and metric of an experiment, in the segment of the listener's group.
-- $by  VARCHAR, name of the column that has the groups
-- FROM listener_values(metric VARCHAR, user BIGINT, arm VARCHAR, segment VARCHAR, numerator DOUBLE, denominator DOUBLE, past_numerator DOUBLE, past_denominator DOUBLE)
-- FROM listener_groups(user BIGINT, label VARCHAR)
-- Columns:
--   metric, user, arm
--   segment                           VARCHAR, such as country=DE; 'unknown' of listeners without a group
--   numerator, denominator            as in listener_values.sql
--   past_numerator, past_denominator  the same
SELECT listener_values.* REPLACE (concat($by, '=', coalesce(label, 'unknown')) AS segment)
FROM listener_values
LEFT JOIN listener_groups USING (user)
WHERE segment = ''
