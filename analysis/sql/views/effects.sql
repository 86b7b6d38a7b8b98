-- One row per arm and metric, and of these per day or segment.
-- FROM report(effects STRUCT(arm VARCHAR, metric VARCHAR, role VARCHAR, segment VARCHAR, day VARCHAR, control_value DOUBLE, arm_value DOUBLE, relative STRUCT(value DOUBLE, lower DOUBLE, upper DOUBLE), p_value DOUBLE, adjusted_p_value DOUBLE, significant BOOLEAN)[], by_day STRUCT(arm VARCHAR, metric VARCHAR, role VARCHAR, segment VARCHAR, day VARCHAR, control_value DOUBLE, arm_value DOUBLE, relative STRUCT(value DOUBLE, lower DOUBLE, upper DOUBLE), p_value DOUBLE, adjusted_p_value DOUBLE, significant BOOLEAN)[], segments STRUCT(arm VARCHAR, metric VARCHAR, role VARCHAR, segment VARCHAR, day VARCHAR, control_value DOUBLE, arm_value DOUBLE, relative STRUCT(value DOUBLE, lower DOUBLE, upper DOUBLE), p_value DOUBLE, adjusted_p_value DOUBLE, significant BOOLEAN)[])
-- Columns:
--   arm               VARCHAR, compared with the control
--   metric            VARCHAR
--   role              VARCHAR, primary, guardrail or secondary
--   segment           VARCHAR, a group of listeners; '' for all
--   day               VARCHAR, the date by whose end it was computed; '' for the whole experiment
--   control_value     DOUBLE, the metric of the control
--   arm_value         DOUBLE, the metric of the arm
--   p_value           DOUBLE, of no difference
--   adjusted_p_value  DOUBLE, adjusted for many comparisons
--   significant       BOOLEAN, the adjusted p-value is below alpha
--   effect_pct        DOUBLE, the difference in % of the control's value
--   lower_pct         DOUBLE, lower end of its interval
--   upper_pct         DOUBLE, upper end of its interval
SELECT
    * EXCLUDE (relative),
    relative.value AS effect_pct, relative.lower AS lower_pct, relative.upper AS upper_pct
FROM (SELECT unnest(effect) FROM (SELECT unnest(list_concat(effects, by_day, segments)) AS effect FROM report))
