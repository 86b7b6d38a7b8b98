"""Add event logs, or tables of plays or interactions, to a session store.

In: files. Out: a session store and a report of its counts and rejects. Read `pipeline`
first, then the two formats, `events` and `tables`, and `report`; the package runs as a command,
which prints the report. `analysis.logs.sources` finds the new content of a file.
"""
