-- One row per column of some rows of a file, all text, with the look of its values; columns without a value are left out.
-- FROM first_rows(user VARCHAR, item VARCHAR)
-- Columns:
--   name        VARCHAR, the column's
--   filled      DOUBLE, share of the rows that have a value
--   is_number   BOOLEAN, nearly all values are numbers
--   is_date     BOOLEAN, nearly all are times that DuckDB reads, such as 2026-01-05 10:00
--   decimal     VARCHAR, the mark of their decimals, 'comma' or 'point' if values also have a mark of thousands; NULL for plain numbers
--   is_percent  BOOLEAN, some end with %
--   is_clock    BOOLEAN, some are minutes and seconds, such as 3:25 or 0:03:25
--   is_float    BOOLEAN, all are whole numbers with a decimal, such as 12.0
--   smallest, largest, middle  DOUBLE, of the numbers, the last one their median; NULL without
--   kinds       BIGINT, different values
--   examples    VARCHAR[], up to 500 of them
WITH filled AS (
    SELECT
        name, value,
        rtrim(value, ' %') AS bare,
        bare SIMILAR TO '\d{1,3}(,\d{3})+(\.\d*)?' AS is_grouped,
        coalesce(TRY_CAST(CASE
            WHEN is_grouped THEN replace(bare, ',', '')
            WHEN bare SIMILAR TO '[\d.]*,\d+' THEN translate(bare, ',.', '.')
            ELSE bare
        END AS DOUBLE), list_reduce(TRY_CAST(string_split(bare, ':') AS DOUBLE[]), lambda total, part : 60 * total + part)) AS parsed,
        CASE WHEN isfinite(parsed) THEN parsed END AS number
    FROM (UNPIVOT first_rows ON COLUMNS(*) INTO NAME name VALUE value)
    WHERE value <> ''
)
SELECT
    name,
    count(*) / (SELECT count(*) FROM first_rows) AS filled,
    count(number) >= 0.95 * count(*) AS is_number,
    count(*) FILTER (number IS NULL AND TRY_CAST(value AS TIMESTAMPTZ) > 'epoch') >= 0.95 * count(*) AS is_date,
    CASE
        WHEN bool_or(bare SIMILAR TO '[\d.]*,(\d{1,2}|\d{4,})|0,\d+') THEN 'comma'
        WHEN bool_or(is_grouped) THEN 'point'
    END AS decimal,
    bool_or(bare <> value) AS is_percent,
    bool_or(number IS NOT NULL AND contains(value, ':')) AS is_clock,
    bool_and(regexp_full_match(value, '\d+\.0')) AS is_float,
    min(number) AS smallest,
    max(number) AS largest,
    median(number) AS middle,
    count(DISTINCT value) AS kinds,
    list_slice(list(DISTINCT value ORDER BY value), 1, 500) AS examples
FROM filled
GROUP BY name
