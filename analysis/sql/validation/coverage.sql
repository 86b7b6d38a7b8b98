-- One row per cut-off, in order.
-- Parameters:
--   $catalogue_size  BIGINT, tracks of the catalogue
--   $ks              INTEGER[], cut-offs: how many of the best recommendations count
-- Tables:
--   recommendations(listener BIGINT, rank BIGINT, track BIGINT)
-- Columns:
--   k         the cut-off
--   coverage  distinct tracks among all listeners' first k recommendations, as a share of the catalogue
SELECT k, count(DISTINCT track) / $catalogue_size AS coverage
FROM (SELECT unnest($ks)::INTEGER AS k)
LEFT JOIN recommendations ON rank <= k
GROUP BY k
ORDER BY k
