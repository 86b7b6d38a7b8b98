-- One row per row of a query of plays, its values checked, but for the kind of its ids.
-- $amount     VARCHAR, the column that says how much was heard: 'seconds', 'weight' or 'share'; NULL without, and each row weighs 1
-- $known      VARCHAR[], the columns of the query
-- $meanings   VARCHAR[], their meanings, for reasons
-- $has_order  BOOLEAN, the query has positions in place of times
-- FROM returned(source VARCHAR, row BIGINT, listener_kind VARCHAR, listener VARCHAR, track_kind VARCHAR, track VARCHAR, amount DOUBLE, played_at TIMESTAMP, session VARCHAR, position DOUBLE, organic BOOLEAN, disliked BOOLEAN, propensity DOUBLE, title VARCHAR, artist VARCHAR)
-- Columns:
--   source, row            the digest of the file, and the row's number in the query's rows of it, from 1
--   user, track            VARCHAR, ids as they stand there
--   user_kind, track_kind  VARCHAR, 'number' or 'text' by the types of the query, 'digits' or 'characters' of a file without types; NULL
--                          of other types
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
        *,
        CASE
            WHEN listener_kind SIMILAR TO '[A-Z]*INT(EGER)?' THEN 'number'
            WHEN listener_kind = 'untyped' THEN if(regexp_full_match(listener, '0|[1-9][0-9]{0,17}'), 'digits', 'characters')
            WHEN listener_kind SIMILAR TO 'VARCHAR|UUID|ENUM.*' THEN 'text'
        END AS user_kind,
        CASE
            WHEN track_kind SIMILAR TO '[A-Z]*INT(EGER)?' THEN 'number'
            WHEN track_kind = 'untyped' THEN if(regexp_full_match(track, '0|[1-9][0-9]{0,17}'), 'digits', 'characters')
            WHEN track_kind SIMILAR TO 'VARCHAR|UUID|ENUM.*' THEN 'text'
        END AS item_kind,
        TRY_CAST(amount AS DOUBLE) AS heard,
        epoch_ms(TRY_CAST(played_at AS TIMESTAMPTZ)) AS moment_ms,
        TRY_CAST(position AS DOUBLE) AS place,
        coalesce(TRY_CAST(organic AS BOOLEAN), TRY_CAST(organic AS DOUBLE) <> 0) AS is_organic,
        coalesce(TRY_CAST(disliked AS BOOLEAN), TRY_CAST(disliked AS DOUBLE) <> 0) AS is_disliked,
        TRY_CAST(propensity AS DOUBLE) AS chance
    FROM returned
),
verified AS (
    SELECT
        *,
        CASE
            WHEN listener = '' OR listener IS NULL OR user_kind IS NULL THEN 'listener'
            WHEN track = '' OR track IS NULL OR item_kind IS NULL THEN 'track'
            WHEN (heard BETWEEN 0 AND if($amount = 'share', 1, 1e15)) IS NOT TRUE THEN $amount
            WHEN is_organic IS NULL AND CAST(organic AS VARCHAR) <> '' THEN 'organic'
            WHEN is_disliked IS NULL AND CAST(disliked AS VARCHAR) <> '' THEN 'disliked'
            WHEN (chance > 0 AND chance <= 1) IS NOT TRUE AND CAST(propensity AS VARCHAR) <> '' THEN 'propensity'
            WHEN (moment_ms BETWEEN 0 AND 1e14) IS NOT TRUE AND list_contains($known, 'played_at') THEN 'played_at'
            WHEN coalesce(CAST(session AS VARCHAR), '') = '' AND list_contains($known, 'session') THEN 'session'
            WHEN (place BETWEEN 0 AND 1e14 AND place = floor(place)) IS NOT TRUE AND $has_order THEN 'position'
        END AS wrong
    FROM parsed
)
SELECT
    source, row, listener AS user, track, user_kind, item_kind AS track_kind,
    heard AS amount,
    CASE WHEN $amount = 'share' THEN heard END AS share,
    TRY_CAST(if($has_order, place, moment_ms) AS BIGINT) AS timestamp,
    CAST(session AS VARCHAR) AS session,
    place AS position,
    CASE WHEN list_contains($known, 'organic') THEN coalesce(is_organic, false) END AS organic,
    CASE WHEN list_contains($known, 'disliked') THEN coalesce(is_disliked, false) END AS disliked,
    chance AS propensity,
    nullif(trim(CAST(title AS VARCHAR)), '') AS title,
    nullif(trim(CAST(artist AS VARCHAR)), '') AS artist,
    wrong || ' is missing or wrong: ' || $meanings[list_position($known, wrong)] AS reason,
    CASE WHEN wrong IS NOT NULL
        THEN concat_ws(', ', listener, track, amount, played_at, session, position, organic, disliked, propensity, title, artist) END AS text
FROM verified
