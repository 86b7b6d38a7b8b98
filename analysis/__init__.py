"""DuckDB SQL and statistics: event logs, ranking metrics and A/B reports.

In: event logs, the session store, recommendations. Out: Arrow tables, arrays and small frozen
results. Knows no other part but `looplib`.

`queries` runs the statements in `sql`, each a file. `logs`, `tables` and `store` read plays,
`validation` scores lists, `statistics` has the intervals, `ab` the report of an experiment, `power`
and `planning` its size; all pages share `page`.
"""
