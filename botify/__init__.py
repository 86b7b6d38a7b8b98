"""The service: answers `/next` with a recommendation and logs every event.

In: exported recommendations and a catalogue. Out: the event log. Installs without Dask, implicit or
DuckDB (`pip install '.[service]'`), and runs with `python -m botify --config configs/botify.yaml`.

A request's way: `http` (`server`, `app`, `views`) → `schemas` (checks the body) → `service` →
`sessions` (what was heard, what was answered) → `experiments` (the arm) → `recommenders` (the
track, from `model`) → `event_log`. `POST /assignments` answers which arms listeners are in and logs
nothing. `settings` are read by `__main__`, and `serving` keeps the worker processes. To add a
recommender, write a function like those in `recommenders.lists`, and name it in
`recommenders.registry`.
"""
