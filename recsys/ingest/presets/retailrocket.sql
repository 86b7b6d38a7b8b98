-- RetailRocket's events.csv, of the visitors of a shop.
SELECT
    visitorid AS listener,
    itemid AS track,
    CASE event WHEN 'transaction' THEN 5 WHEN 'addtocart' THEN 2 WHEN 'view' THEN 1 END AS weight,
    epoch_ms("timestamp") AS played_at
FROM {path}
WHERE event IN ('transaction', 'addtocart', 'view')
