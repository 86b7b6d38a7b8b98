"""From logs to recommendations: ingest into the session store, search on Dask, export.

In: event logs or tables. Out: the session store, a run folder, `recommendations.jsonl` with its
manifest. Calls `analysis`. Read `config` first, then `ingest`, `search` and `export`.
"""

# first of all: Ctrl-C and a missing library end a command in one line
from looplib import start as start
