"""Add event logs, or tables of plays or interactions, to a session store.

In: files. Out: a session store and a report of what was rejected. Read `pipeline` first, then
`sources` and the two formats, `events` and `interactions`; the package runs as a command, which
prints the report.
"""
