"""DuckDB SQL and statistics: reading event logs, validation metrics.

In: event logs, the session store, recommendations. Out: Arrow tables, arrays and small frozen results. Knows no other
part but `looplib`.
"""

from looplib import start as start  # first of all: Ctrl-C and a missing library end a command in one line
