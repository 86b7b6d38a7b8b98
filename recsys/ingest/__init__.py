"""Add event logs, or tables of plays or interactions, to a session store.

In: files. Out: a session store and a report of what was counted and rejected. Read `pipeline`
first, then the two formats, `events` and `tables`, and `report`; the package runs as a command,
which prints the report. `analysis.logs.sources` finds what is new in a file.
"""
