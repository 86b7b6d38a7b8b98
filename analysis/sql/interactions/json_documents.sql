-- One row per document of a file of JSON, in the order of the file, behind further columns of `documents`.
-- $user   VARCHAR[], JSON pointers of the key with the listener, such as '/uid'
-- $track  VARCHAR[], JSON pointers of the key with the track
-- FROM documents(line VARCHAR, document VARCHAR)
-- Columns:
--   (text)                     VARCHAR, the line
--   (document)                 JSON; NULL where the line is none
--   (user_kind), (track_kind)  VARCHAR, 'whole number', 'text' or what else it is
--   (fault)                    VARCHAR, why the line is no JSON object; NULL where it is
WITH typed AS (
    SELECT
        *,
        map {'UBIGINT': 'whole number', 'BIGINT': 'whole number', 'VARCHAR': 'text'} AS kinds,
        list_any_value(json_type(document, $user)) AS user_type,
        list_any_value(json_type(document, $track)) AS track_type
    FROM documents
)
SELECT
    * EXCLUDE (line, document, kinds, user_type, track_type),
    line AS "(text)",
    document AS "(document)",
    coalesce(kinds[user_type], lower(user_type)) AS "(user_kind)",
    coalesce(kinds[track_type], lower(track_type)) AS "(track_kind)",
    CASE WHEN json_type(document) = 'OBJECT' THEN NULL ELSE 'no JSON object' END AS "(fault)"
FROM typed
