"""The service: answers `/next` with a recommendation and logs every event.

In: exported recommendations and a catalogue. Out: the event log. Installs without Dask or DuckDB
and runs with `listening-loop serve --config configs/botify.yaml`,
or with `flask --app botify run` or any WSGI server.

A request's way: `asgi` (reads its body) → `app` and `views` (a Flask application) → `schemas`
(checks the body) → `service` → `sessions` (the listener's plays) → `looplib.experiments` (the
arm) → `recommenders` (the track, from `model`) → `event_log`. `__main__` reads the `settings`,
`limits` has the constants beside them, `serving` starts granian, and `versions` watches for a
newer export.

To add a recommender, write a function as in `recommenders.lists` and name it in
`recommenders.registry`. To log another field, begin at `looplib.event_fields`; to answer with
another status, at `errors`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from botify.settings import ServiceSettings


def create_app(settings: "ServiceSettings | None" = None) -> "Flask":
    """Make the Flask application of a configuration: see `botify.app.create_app`."""
    # `listening-loop serve` sets a variable before it imports the metrics
    from botify import app

    return app.create_app(settings)
