-- One row per signal of data quality, arm of a slice and day: sums over its listeners of a numerator and a denominator.
-- FROM session_events(user BIGINT, arm VARCHAR, timestamp BIGINT, time DOUBLE, is_organic BOOLEAN, is_broken BOOLEAN, is_silent BOOLEAN, is_again BOOLEAN)
-- Columns:
--   signal     VARCHAR: 'broken chains' by events after another in a session; 'missing last', sessions whose listener came
--              back after half an hour of silence for another track, by sessions; 'doubled events', 'zeros' of listening
--              time and listening 'time' by events; 'events' by listeners
--   arm
--   day        BIGINT, days since the epoch, UTC; NULL for all days together
--   listeners  BIGINT, listeners with the denominator
--   part, whole, part_square, product, whole_square  DOUBLE, sums of numerator and denominator, and of their products
WITH listener_days AS (
    SELECT
        user, arm, timestamp // 86400000 AS day,
        count(*) AS events,
        count_if(NOT is_organic) AS chained,
        count_if(is_broken AND NOT is_silent) AS broken,
        count_if(is_broken AND is_silent) AS unclosed,
        count_if(is_organic) + unclosed AS sessions,
        count_if(is_again) AS doubled,
        count_if(time = 0) AS zeros,
        CAST(sum(CAST(time AS DECIMAL(38, 20))) AS DOUBLE) AS heard
    FROM session_events
    WHERE arm IS NOT NULL
    GROUP BY ALL
),
signals AS (
    SELECT user, arm, day, unnest([
        {'signal': 'broken chains', 'part': broken, 'whole': chained},
        {'signal': 'missing last', 'part': unclosed, 'whole': sessions},
        {'signal': 'doubled events', 'part': doubled, 'whole': events},
        {'signal': 'zeros', 'part': zeros, 'whole': events},
        {'signal': 'time', 'part': heard, 'whole': events},
        {'signal': 'events', 'part': events, 'whole': 1}
    ], recursive := true)
    FROM listener_days
),
listeners AS (
    SELECT signal, user, arm, day, CAST(sum(part) AS DOUBLE) AS part, CAST(sum(whole) AS DOUBLE) AS whole
    FROM signals
    GROUP BY GROUPING SETS ((signal, user, arm, day), (signal, user, arm))
    HAVING sum(whole) > 0
)
SELECT
    signal, arm, day,
    count(*) AS listeners,
    sum(part) AS part,
    sum(whole) AS whole,
    sum(part * part) AS part_square,
    sum(part * whole) AS product,
    sum(whole * whole) AS whole_square
FROM listeners
GROUP BY signal, arm, day
