-- One row per column of some rows of a file, all text, with the look of its values; columns without a value are left out.
-- FROM first_rows(user VARCHAR, item VARCHAR)
-- Columns:
--   name       VARCHAR, the column's
--   filled     DOUBLE, share of the rows that have a value
--   is_number  BOOLEAN, nearly all values are numbers
--   is_whole   BOOLEAN, all numbers are whole
--   is_time    BOOLEAN, nearly all are dates, or numbers of seconds, ms, µs or ns from 1980 to 2096
--   decimal    VARCHAR, the mark of their decimals, 'comma' or 'point' if values also have a mark of thousands; NULL for plain numbers
--   is_clock   BOOLEAN, some are minutes and seconds, such as 3:25 or 0:03:25
--   smallest, largest  DOUBLE, of the numbers; NULL without
--   kinds      BIGINT, different values
--   example    VARCHAR, one of them
--   examples   VARCHAR[], up to a thousand of them
WITH filled AS (
    SELECT
        name, value,
        value SIMILAR TO '\d{1,3}(,\d{3})+(\.\d*)?' AS is_grouped,
        coalesce(TRY_CAST(CASE
            WHEN is_grouped THEN replace(value, ',', '')
            WHEN value SIMILAR TO '[\d.]*,\d+' THEN translate(value, ',.', '.')
            ELSE value
        END AS DOUBLE), list_reduce(TRY_CAST(string_split(value, ':') AS DOUBLE[]), lambda total, part : 60 * total + part)) AS parsed,
        CASE WHEN isfinite(parsed) THEN parsed END AS number
    FROM (UNPIVOT first_rows ON COLUMNS(*) INTO NAME name VALUE value)
    WHERE value <> ''
),
counted AS (
    SELECT
        name,
        count(*) AS filled,
        count(number) AS numbers,
        bool_and(number = floor(number)) AS is_whole,
        median(number) AS middle,
        count(*) FILTER (TRY_CAST(value AS TIMESTAMPTZ) > 'epoch') AS dates,
        CASE
            WHEN bool_or(value SIMILAR TO '[\d.]*,(\d{1,2}|\d{4,})|0,\d+') THEN 'comma'
            WHEN bool_or(is_grouped) THEN 'point'
        END AS decimal,
        bool_or(number IS NOT NULL AND contains(value, ':')) AS is_clock,
        min(number) AS smallest,
        max(number) AS largest,
        count(DISTINCT value) AS kinds,
        min(value) AS example,
        list(DISTINCT value)[:1000] AS examples
    FROM filled
    GROUP BY name
)
SELECT
    name,
    filled / (SELECT count(*) FROM first_rows) AS filled,
    numbers >= 0.95 * filled AS is_number,
    coalesce(is_whole, false) AS is_whole,
    dates >= 0.95 * filled OR (
        is_number
        AND list_bool_or([middle / unit BETWEEN 3 AND 40 FOR unit IN [1e8, 1e11, 1e14, 1e17]])
    ) AS is_time,
    decimal, is_clock, smallest, largest, kinds, example, examples
FROM counted
