"""From logs to recommendations: ingest into the session store, search on Dask, export.

In: event logs or tables. Out: the session store, a run folder, `recommendations.jsonl` with its
manifest. Calls `analysis`. Read `config` first, then `ingest`, `search` and `export`.
"""
