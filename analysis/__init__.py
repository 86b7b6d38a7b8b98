"""Analytics in DuckDB SQL: event logs, ranking metrics and A/B reports.

The package reads event logs, the session store and recommendations, and returns Arrow tables,
arrays and small frozen results. It imports no other part of the project but `looplib`.

`queries` runs the statements in `sql`, one file each. `logs`, `plays` and `store` read plays,
`validation` scores recommendation lists, `statistics` computes intervals, `ab` reports on an
experiment, `power` and `planning` compute its sample size, and `page` holds the parts that all
HTML pages share.
"""
