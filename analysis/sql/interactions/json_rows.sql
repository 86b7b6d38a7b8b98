-- One row per line of a file of JSON lines, in the order of the file: the wanted values as text.
-- $user       VARCHAR, JSON pointer of the key, such as '/uid'
-- $track      VARCHAR, JSON pointer of the key
-- $weight     VARCHAR, JSON pointer of the key; NULL where it is not wanted
-- $timestamp  VARCHAR, JSON pointer of the key; NULL where it is not wanted
-- $session    VARCHAR, JSON pointer of the key; NULL where it is not wanted
-- FROM text_lines(line VARCHAR)
-- Columns:
--   user, track, weight, timestamp, session  VARCHAR; NULL where the line has none
--   user_kind, track_kind                    VARCHAR, 'whole number', 'text' or what else it is
--   fault                                    VARCHAR, why the line is no JSON object; NULL where it is
--   text                                     VARCHAR, the line
WITH documents AS (
    SELECT line, CASE WHEN json_valid(line) THEN CAST(line AS JSON) END AS document
    FROM text_lines
),
found AS (
    SELECT
        line,
        map {'UBIGINT': 'whole number', 'BIGINT': 'whole number', 'VARCHAR': 'text'} AS kinds,
        json_type(document) = 'OBJECT' AS is_object,
        json_extract(document, $user) AS user_value,
        json_extract(document, $track) AS track_value,
        json_extract_string(document, $weight) AS weight,
        json_extract_string(document, $timestamp) AS timestamp,
        json_extract_string(document, $session) AS session
    FROM documents
)
SELECT
    json_extract_string(user_value, '$') AS user,
    json_extract_string(track_value, '$') AS track,
    weight, timestamp, session,
    coalesce(kinds[json_type(user_value)], lower(json_type(user_value))) AS user_kind,
    coalesce(kinds[json_type(track_value)], lower(json_type(track_value))) AS track_kind,
    CASE WHEN is_object THEN NULL ELSE 'no JSON object' END AS fault,
    line AS text
FROM found
