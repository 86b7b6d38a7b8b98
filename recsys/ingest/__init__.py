"""Put logs into the session store.

In: event logs, or tables of interactions. Out: a session store and a report of what was rejected. Read `events` first,
then `interactions`, `files`, `catalogue` and `report`; the package runs as a command.
"""
