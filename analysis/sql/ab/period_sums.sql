-- One row per period and arm, twice: what the listeners' values in it add to the sums of the period alone, and what
-- they change in the sums of all periods so far. A listener's value x is the numerator, or its ratio to the denominator;
-- it changes in periods with sessions alone, so the sums so far are those of the period before and the changes.
-- $per_listener  BOOLEAN, x is each listener's ratio
-- FROM valued_parts(user BIGINT, arm VARCHAR, part BIGINT, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm
--   period            BIGINT
--   is_alone          BOOLEAN, of the period alone
--   count             DOUBLE, listeners with an x
--   x, y, xx, xy, yy  DOUBLE, sums of x, of the denominator y, and of their products
WITH running AS (
    SELECT
        *,
        sum(numerator) OVER so_far AS numerator_so_far,
        sum(denominator) OVER so_far AS denominator_so_far
    FROM valued_parts
    WINDOW so_far AS (PARTITION BY arm, user ORDER BY part)
),
valued AS (
    SELECT
        arm, user, part AS period,
        CASE WHEN $per_listener THEN numerator / nullif(denominator, 0) ELSE numerator END AS x_alone,
        CASE WHEN $per_listener THEN numerator_so_far / nullif(denominator_so_far, 0) ELSE numerator_so_far END AS x,
        denominator AS y_alone,
        denominator_so_far AS y
    FROM running
),
steps AS (
    SELECT arm, period, true AS is_alone, 1 AS sign, x_alone AS x, y_alone AS y FROM valued
    UNION ALL
    SELECT arm, period, false, 1, x, y FROM valued
    UNION ALL
    SELECT arm, period, false, -1, lag(x) OVER before, lag(y) OVER before
    FROM valued
    WINDOW before AS (PARTITION BY arm, user ORDER BY period)
)
SELECT
    arm, period, is_alone,
    CAST(count(x) FILTER (WHERE sign = 1) - count(x) FILTER (WHERE sign = -1) AS DOUBLE) AS count,
    coalesce(sum(sign * x), 0) AS x,
    coalesce(sum(sign * y), 0) AS y,
    coalesce(sum(sign * x * x), 0) AS xx,
    coalesce(sum(sign * x * y), 0) AS xy,
    coalesce(sum(sign * y * y), 0) AS yy
FROM steps
GROUP BY arm, period, is_alone
ORDER BY period, arm, is_alone
