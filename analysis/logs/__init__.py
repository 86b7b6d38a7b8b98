"""Read event logs and tables of interactions, every line checked.

In: files and folders of JSON lines, CSV or Parquet. Out: typed tables in a DuckDB connection, and
what was rejected with file, line and reason. Read `reader` first, then `files` (find logs, count
their lines) and `lines` (parse one line exactly); `interactions` reads tables of plays or
interactions.
"""
