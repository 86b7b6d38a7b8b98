"""From logs to recommendations: ingest into the session store, search on Dask, export.

In: event logs or tables. Out: the session store, a run folder, `recommendations.jsonl` with its
manifest. Calls `analysis`.

The way of a search: `config` (every setting) → `dataset` (splits sessions, builds the matrices,
from the store that `ingest` and `store` write) → `search` (plans, runs, decides) → `cluster` (runs
functions on Dask) → `models`, `live` (the models; `blockwise` fits on all workers) →
`run` (the folder that a search leaves) → `report` and `export`. `storage` and `lock` reach
addresses such as `s3://bucket/folder`.
"""
