"""The service: answers `/next` with a recommendation and logs every event.

In: exported recommendations and a catalogue. Out: the event log. Installs without Dask, implicit or DuckDB
(`pip install listening-loop[service]`). This version of the project ships only its dependencies and its place.
"""
