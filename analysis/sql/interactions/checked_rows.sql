-- One row per row of a query of plays, its values checked, but for its ids.
-- $amount        VARCHAR, the column that says how much was heard: 'seconds', 'weight' or 'share'; NULL without, and each row weighs 1
-- $known         VARCHAR[], the columns of the query
-- $has_order     BOOLEAN, the query has positions in place of times
-- $has_text_ids  BOOLEAN, digits in ids of type VARCHAR are text, as in files with types
-- FROM returned(source VARCHAR, row BIGINT, listener_kind VARCHAR, listener VARCHAR, track_kind VARCHAR, track VARCHAR, amount DOUBLE, played_at TIMESTAMP, session VARCHAR, position DOUBLE, organic BOOLEAN, disliked BOOLEAN, propensity DOUBLE, title VARCHAR, artist VARCHAR)
-- Columns:
--   source, row            the digest of the file, and the row's number in the query's rows of it, from 1
--   user, track            VARCHAR, ids as they stand there
--   user_kind, track_kind  VARCHAR, 'whole number' or 'text' by the types of the query, 'digits' or 'characters' of a file without types,
--                          or another type
--   amount                 DOUBLE, the seconds or weight, 0 to 1e15, or the share, 0 to 1; beyond that if the row is refused for it
--   share                  DOUBLE, the amount if it is a share
--   timestamp              BIGINT, ms since the epoch, UTC; text without a time zone is in UTC; the position if $has_order; NULL without
--   session, position      VARCHAR, and DOUBLE that orders its rows of the same timestamp; NULL without
--   organic, disliked      BOOLEAN, the listener chose the track, or said no to it; false if the row does not say, NULL without the column
--   propensity             DOUBLE, probability with which the track was recommended, above 0 to 1; NULL if it is not known
--   title, artist          VARCHAR; NULL if the file does not say
--   reason, text           VARCHAR, the reason why the row is refused, and the row as text; NULL if it is good
WITH parsed AS (
    SELECT
        source, row, listener, track, title, artist,
        CASE
            WHEN listener_kind SIMILAR TO '.*INT(EGER)?' THEN 'whole number'
            WHEN listener_kind = 'VARCHAR' AND NOT $has_text_ids
            THEN if(regexp_full_match(listener, '0|[1-9][0-9]{0,17}'), 'digits', 'characters')
            WHEN listener_kind SIMILAR TO 'VARCHAR|UUID|ENUM.*' THEN 'text'
            ELSE lower(listener_kind)
        END AS user_kind,
        CASE
            WHEN track_kind SIMILAR TO '.*INT(EGER)?' THEN 'whole number'
            WHEN track_kind = 'VARCHAR' AND NOT $has_text_ids
            THEN if(regexp_full_match(track, '0|[1-9][0-9]{0,17}'), 'digits', 'characters')
            WHEN track_kind SIMILAR TO 'VARCHAR|UUID|ENUM.*' THEN 'text'
            ELSE lower(track_kind)
        END AS item_kind,
        CAST(amount AS VARCHAR) AS written_amount,
        TRY_CAST(amount AS DOUBLE) AS amount,
        CAST(played_at AS VARCHAR) AS written_time,
        epoch_ms(TRY_CAST(played_at AS TIMESTAMPTZ)) AS moment_ms,
        CAST(session AS VARCHAR) AS session,
        CAST(position AS VARCHAR) AS written_position,
        TRY_CAST(position AS DOUBLE) AS place,
        nullif(CAST(organic AS VARCHAR), '') AS written_organic,
        coalesce(TRY_CAST(organic AS BOOLEAN), TRY_CAST(organic AS DOUBLE) <> 0) AS is_organic,
        nullif(CAST(disliked AS VARCHAR), '') AS written_dislike,
        coalesce(TRY_CAST(disliked AS BOOLEAN), TRY_CAST(disliked AS DOUBLE) <> 0) AS is_disliked,
        nullif(CAST(propensity AS VARCHAR), '') AS written_propensity,
        TRY_CAST(propensity AS DOUBLE) AS probability
    FROM returned
),
verified AS (
    SELECT
        *,
        CASE
            WHEN coalesce(listener, '') = '' THEN 'listener is missing'
            WHEN user_kind NOT IN ('whole number', 'text', 'digits', 'characters') THEN 'listener is of type ' || user_kind || '; a whole number or text is allowed'
            WHEN coalesce(track, '') = '' THEN 'track is missing'
            WHEN item_kind NOT IN ('whole number', 'text', 'digits', 'characters') THEN 'track is of type ' || item_kind || '; a whole number or text is allowed'
            WHEN coalesce(written_amount, '') = '' THEN $amount || ' is missing, or no number'
            WHEN amount IS NULL THEN $amount || ' ' || left(written_amount, 40) || ' is no number'
            WHEN amount NOT BETWEEN 0 AND 1e15 THEN $amount || ' ' || left(written_amount, 40) || '; 0 to ' || if($amount = 'share', '1', '1e15') || ' is allowed'
            WHEN $amount = 'share' AND amount > 1 THEN 'share ' || left(written_amount, 40) || '; 0 to 1 is allowed'
            WHEN written_organic IS NOT NULL AND is_organic IS NULL THEN 'organic ' || left(written_organic, 40) || '; true, false, 1 and 0 are allowed'
            WHEN written_dislike IS NOT NULL AND is_disliked IS NULL THEN 'disliked ' || left(written_dislike, 40) || '; true, false, 1 and 0 are allowed'
            WHEN written_propensity IS NOT NULL AND (probability > 0 AND probability <= 1) IS NOT TRUE
            THEN 'propensity ' || left(written_propensity, 40) || '; above 0 to 1 is allowed'
            WHEN list_contains($known, 'played_at') AND coalesce(written_time, '') = '' THEN 'played_at is missing, or no time'
            WHEN list_contains($known, 'played_at') AND moment_ms IS NULL
            THEN 'played_at ' || left(written_time, 40) || ' is no time; text begins with the year, or is read by strptime'
            WHEN NOT (moment_ms >= 0 AND moment_ms < 1e14) THEN 'played_at ' || left(written_time, 40) || '; 1970 to 5138 is allowed'
            WHEN list_contains($known, 'session') AND coalesce(session, '') = '' THEN 'session is missing'
            WHEN $has_order AND coalesce(written_position, '') = '' THEN 'position is missing'
            WHEN $has_order AND (place >= 0 AND place < 1e14 AND place = floor(place)) IS NOT TRUE
            THEN 'position ' || left(written_position, 40) || '; a whole number from 0 to 1e14 is allowed'
        END AS reason
    FROM parsed
)
SELECT
    source, row, listener AS user, track, user_kind, item_kind AS track_kind,
    amount,
    CASE WHEN $amount = 'share' THEN amount END AS share,
    CASE WHEN reason IS NULL THEN CAST(if($has_order, place, moment_ms) AS BIGINT) END AS timestamp,
    session,
    place AS position,
    CASE WHEN list_contains($known, 'organic') THEN coalesce(is_organic, false) END AS organic,
    CASE WHEN list_contains($known, 'disliked') THEN coalesce(is_disliked, false) END AS disliked,
    probability AS propensity,
    nullif(trim(CAST(title AS VARCHAR)), '') AS title,
    nullif(trim(CAST(artist AS VARCHAR)), '') AS artist,
    reason,
    CASE WHEN reason IS NOT NULL THEN concat_ws(', ', listener, track, written_amount, written_time, session, title, artist) END AS text
FROM verified
