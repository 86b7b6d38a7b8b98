"""The service: answers `/next` with a recommendation and logs every event.

In: exported recommendations and a catalogue. Out: the event log. Installs without Dask, implicit or DuckDB
(`pip install listening-loop[service]`), and runs with `python -m botify --config configs/botify.yaml`.

A request's way: `shortcut` or `views` (HTTP) → `bodies` (checks) → `service` → `sessions` or `redis_sessions` (what was
heard) → `experiments` (the arm) → `recommenders` (the track, from `models`) → `event_log`. `POST /assignments`
(`views.assignments`) tells which arms listeners are in and logs nothing. To add a recommender, write a function like
those in `recommenders.simple` and name it in `recommenders.fallback` and `settings`.
"""
