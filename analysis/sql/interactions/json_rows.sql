-- One row per line of a file of JSON lines, in the order of the file: the wanted values as text.
-- $user       VARCHAR, JSON pointer of the key, such as '/uid'
-- $track      VARCHAR, JSON pointer of the key
-- $others     VARCHAR[], JSON pointers of the keys of weight, timestamp, session, share, played, duration, position, organic, propensity, title and artist; NULL where one is not wanted
-- FROM text_lines(line VARCHAR)
-- Columns:
--   user, track, weight, timestamp, session, share, played, duration, position, organic, propensity, title, artist  VARCHAR; NULL where the line has none
--   user_kind, track_kind  VARCHAR, 'whole number', 'text' or what else it is
--   fault                  VARCHAR, why the line is no JSON object; NULL where it is
--   text, kept             VARCHAR, the line, and 'true'
WITH documents AS (SELECT line, CASE WHEN json_valid(line) THEN CAST(line AS JSON) END AS document FROM text_lines),
found AS (
    SELECT
        line,
        map {'UBIGINT': 'whole number', 'BIGINT': 'whole number', 'VARCHAR': 'text'} AS kinds,
        json_type(document) = 'OBJECT' AS is_object,
        json_extract(document, $user) AS user_value,
        json_extract(document, $track) AS track_value,
        list_transform($others, lambda pointer: json_extract_string(document, pointer)) AS texts
    FROM documents
)
SELECT
    json_extract_string(user_value, '$') AS user,
    json_extract_string(track_value, '$') AS track,
    texts[1] AS weight, texts[2] AS timestamp, texts[3] AS session,
    texts[4] AS share, texts[5] AS played, texts[6] AS duration,
    texts[7] AS position, texts[8] AS organic, texts[9] AS propensity, texts[10] AS title, texts[11] AS artist,
    coalesce(kinds[json_type(user_value)], lower(json_type(user_value))) AS user_kind,
    coalesce(kinds[json_type(track_value)], lower(json_type(track_value))) AS track_kind,
    CASE WHEN is_object THEN NULL ELSE 'no JSON object' END AS fault,
    line AS text,
    'true' AS kept
FROM found
