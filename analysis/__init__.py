"""DuckDB SQL and statistics: event logs, ranking metrics, off-policy estimates and A/B reports.

In: event logs, the session store, recommendations. Out: Arrow tables, arrays and small frozen
results. Knows no other part but `looplib`. Read `queries` first, then `logs`, `statistics` and
`ab`.
"""
