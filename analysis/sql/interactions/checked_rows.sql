-- One row per row of a table of plays or interactions that is kept and not blank, its values read and checked, but for its ids.
-- $known          VARCHAR[], the columns that the file has, such as 'weight'; without weights each row weighs 1
-- $has_share      BOOLEAN, the file says how much of a track was heard: its share, or the time played and the duration
-- $full_share     DOUBLE, the share of a track heard to its end: 1, or 100 if shares are percentages
-- $has_order      BOOLEAN, the file has positions in place of timestamps
-- $date_format    VARCHAR, the form of timestamps; NULL for numbers, dates that begin with the year, and $usual_dates
-- $usual_dates    VARCHAR[], forms of dates that need no $date_format
-- $weight_scale   DOUBLE, weights are multiplied by it
-- FROM raw_rows(source VARCHAR, user VARCHAR, track VARCHAR, weight VARCHAR, timestamp VARCHAR, session VARCHAR, share VARCHAR, played VARCHAR, duration VARCHAR, position VARCHAR, organic VARCHAR, propensity VARCHAR, title VARCHAR, artist VARCHAR, user_kind VARCHAR, track_kind VARCHAR, fault VARCHAR, text VARCHAR, kept VARCHAR)
-- Columns:
--   source, row, user, track  the digest of the file, the row's number in these files, from 1, and ids as they stand there
--   user_kind, track_kind  VARCHAR, 'whole number' or 'text' by the file's types, 'digits' or 'characters' in a file without types, or another type
--   amount                 DOUBLE, the weight, 0 to 1e15, in seconds if it is such as 3:25 or 0:03:25, or the share, 0 to 1; beyond that if the row is refused for it
--   share                  DOUBLE, the amount if it is a share
--   timestamp              BIGINT, ms since the epoch, UTC; numbers are in seconds below 1e11, in ms below 1e14, in µs below 1e17, else
--                          in ns; text without a time zone is in UTC;
--                          the position if $has_order; NULL without
--   clock                  VARCHAR, how the timestamp is written: 'dates', 'seconds', 'milliseconds', 'microseconds' or 'nanoseconds'; NULL
--                          for 0 and without
--   session, position      VARCHAR, and DOUBLE that orders its rows of the same timestamp; NULL without
--   organic                BOOLEAN, the listener chose the track; false if the row does not say, NULL without the column
--   propensity             DOUBLE, probability with which the track was recommended, above 0 to 1; NULL if it is not known
--   title, artist          VARCHAR; NULL if the file does not say
--   reason, text           VARCHAR, the reason why the row is refused, and the row as text; NULL if it is good
WITH numbered AS (
    SELECT
        *,
        list_transform(
            [weight, played, duration],
            lambda text : coalesce(TRY_CAST(text AS DOUBLE), list_reduce(TRY_CAST(string_split(text, ':') AS DOUBLE[]), lambda total, part : 60 * total + part))
        ) AS amounts,
        row_number() OVER () AS row,
        list_contains($known, 'weight') AS has_weight,
        list_contains($known, 'timestamp') AS has_time
    FROM raw_rows
),
parsed AS (
    SELECT
        * REPLACE (nullif(propensity, '') AS propensity, nullif(organic, '') AS organic),
        coalesce(share, played || ' of ' || duration) AS heard,
        CASE
            WHEN has_weight THEN amounts[1] * $weight_scale
            WHEN $has_share
            THEN coalesce(
                TRY_CAST(share AS DOUBLE) / $full_share,
                amounts[2] / nullif(amounts[3], 0)
            )
            ELSE 1.0
        END AS amount,
        coalesce(TRY_CAST(organic AS BOOLEAN), TRY_CAST(organic AS DOUBLE) <> 0) AS is_organic,
        TRY_CAST(propensity AS DOUBLE) AS probability,
        CASE WHEN $date_format IS NULL THEN TRY_CAST(timestamp AS DOUBLE) END AS number,
        TRY_CAST(position AS DOUBLE) AS place,
        epoch_ms(CASE
            WHEN $date_format IS NOT NULL THEN try_strptime(timestamp, $date_format)
            ELSE coalesce(TRY_CAST(timestamp AS TIMESTAMPTZ), try_strptime(timestamp, $usual_dates))
        END) AS written_ms,
        1 + (abs(number) >= 1e11)::INTEGER + (abs(number) >= 1e14)::INTEGER + (abs(number) >= 1e17)::INTEGER AS unit
    FROM numbered
    WHERE (fault IS NULL OR trim(text) <> '') AND kept = 'true'
),
timed AS (
    SELECT
        * REPLACE (
            CASE WHEN played IS NOT NULL AND amount > 1 THEN 1.0 ELSE amount END AS amount,
            CASE WHEN user_kind <> 'untyped' THEN user_kind
                WHEN regexp_full_match(user, '0|[1-9][0-9]{0,17}') THEN 'digits' ELSE 'characters' END AS user_kind,
            CASE WHEN track_kind <> 'untyped' THEN track_kind
                WHEN regexp_full_match(track, '0|[1-9][0-9]{0,17}') THEN 'digits' ELSE 'characters' END AS track_kind
        ),
        coalesce(round(number * 1e3 / 1e3 ** (unit - 1)), written_ms) AS moment_ms,
        CASE WHEN number <> 0 THEN ['seconds', 'milliseconds', 'microseconds', 'nanoseconds'][unit]
            WHEN written_ms IS NOT NULL THEN 'dates' END AS clock
    FROM parsed
),
verified AS (
    SELECT
        *,
        CASE
            WHEN fault IS NOT NULL THEN fault
            WHEN coalesce(user, '') = '' THEN 'user is missing'
            WHEN user_kind NOT IN ('whole number', 'text', 'digits', 'characters') THEN 'user is of type ' || user_kind || '; a whole number or text is allowed'
            WHEN coalesce(track, '') = '' THEN 'item is missing'
            WHEN track_kind NOT IN ('whole number', 'text', 'digits', 'characters') THEN 'item is of type ' || track_kind || '; a whole number or text is allowed'
            WHEN has_weight AND weight IS NULL THEN 'weight is missing'
            WHEN has_weight AND amount IS NULL THEN 'weight ' || left(weight, 40) || ' is no number'
            WHEN has_weight AND amount NOT BETWEEN 0 AND 1e15 THEN 'weight ' || left(weight, 40) || '; 0 to 1e15 is allowed'
            WHEN $has_share AND coalesce(heard, '') = '' THEN 'share is missing'
            WHEN $has_share AND (amount BETWEEN 0 AND 1) IS NOT TRUE
            THEN 'share ' || left(heard, 40) || '; 0 to ' || CAST($full_share AS BIGINT) || ' is allowed'
            WHEN organic IS NOT NULL AND is_organic IS NULL THEN 'organic ' || left(organic, 40) || '; true, false, 1 and 0 are allowed'
            WHEN propensity IS NOT NULL AND (probability > 0 AND probability <= 1) IS NOT TRUE
            THEN 'propensity ' || left(propensity, 40) || '; above 0 to 1 is allowed'
            WHEN has_time AND timestamp IS NULL THEN 'timestamp is missing'
            WHEN has_time AND moment_ms IS NULL
            THEN 'timestamp ' || left(timestamp, 40) || ' is neither seconds nor milliseconds since 1970 nor a date that begins with the year; name its form, such as date_format=%d/%m/%Y'
            WHEN NOT (moment_ms >= 0 AND moment_ms < 1e14) THEN 'timestamp ' || left(timestamp, 40) || '; 1970 to 5138 is allowed'
            WHEN list_contains($known, 'session') AND coalesce(session, '') = '' THEN 'session is missing'
            WHEN $has_order AND coalesce(position, '') = '' THEN 'position is missing'
            WHEN $has_order AND (place >= 0 AND place < 1e14 AND place = floor(place)) IS NOT TRUE
            THEN 'position ' || left(position, 40) || '; a whole number from 0 to 1e14 is allowed'
        END AS reason
    FROM timed
)
SELECT
    source, row, user, track, user_kind, track_kind,
    amount,
    CASE WHEN $has_share THEN amount END AS share,
    CASE WHEN reason IS NULL THEN CAST(if($has_order, place, moment_ms) AS BIGINT) END AS timestamp,
    CASE WHEN reason IS NULL THEN clock END AS clock,
    session,
    place AS position,
    CASE WHEN list_contains($known, 'organic') THEN coalesce(is_organic, false) END AS organic,
    probability AS propensity,
    nullif(trim(title), '') AS title,
    nullif(trim(artist), '') AS artist,
    reason,
    CASE WHEN reason IS NOT NULL THEN coalesce(text, concat_ws(', ', user, track, weight, heard, timestamp, session)) END AS text
FROM verified
