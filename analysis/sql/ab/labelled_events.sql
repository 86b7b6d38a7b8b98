-- One row per event, with what is known of it by itself.
-- $end_ms  BIGINT, the first millisecond after the experiment's planned end
-- $arms    VARCHAR[], the arms
-- $own     VARCHAR[], each arm's own recommender
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, message VARCHAR, recommender VARCHAR)
-- Columns:
--   user, arm, timestamp  as in assigned, with what else it has
--   is_last      BOOLEAN, the message is 'last'
--   is_named     BOOLEAN, a recommendation was asked for, and it is known who answered
--   is_fallback  BOOLEAN, another than the arm's own recommender did
SELECT
    assigned.* EXCLUDE (message, recommender),
    message = 'last' AS is_last,
    NOT is_last AND recommender IS NOT NULL AS is_named,
    coalesce(is_named AND recommender <> own, false) AS is_fallback
FROM assigned
LEFT JOIN (SELECT unnest($arms) AS arm, unnest($own) AS own) USING (arm)
WHERE timestamp < $end_ms
