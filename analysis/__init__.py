"""DuckDB SQL and statistics: event logs, ranking metrics, off-policy estimates and A/B reports.

In: event logs, the session store, recommendations. Out: Arrow tables, arrays and small frozen
results. Knows no other part but `looplib`.

`queries` runs the statements in `sql`, one a file. `logs`, `tables` and `store` read what was
heard, `validation` and `offpolicy` say what lists were worth, `statistics` has the intervals, `ab`
the report of an experiment, `power` and `planning` its size; `page` is what all pages share.
"""
