"""Read the plays to learn from, and serve the function `recommend` of a Python file."""

import logging
import os
import runpy
import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from itertools import groupby
from operator import itemgetter

import pandas as pd
from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler

BLOCK = 20  # plays that are a session if nothing says where sessions end
_SILENCE = pd.Timedelta(minutes=30)


def read_sessions() -> Iterator[tuple[Hashable, list[Hashable]]]:
    """Read the listener and the tracks of each session, oldest plays of a listener first."""
    plays = pd.read_csv(os.environ["PLAYS"])
    if "session" in plays:
        key = plays["session"].astype(str)
    elif "played_at" in plays:
        moment = pd.to_datetime(plays["played_at"])
        key = (moment.groupby(plays["listener"]).diff() > _SILENCE).cumsum()
    else:
        key = plays.groupby("listener").cumcount() // BLOCK
    rows = zip(plays["listener"], key, plays["track"], strict=True)
    for (listener, _), session in groupby(rows, key=itemgetter(0, 1)):
        yield listener, [track for *_, track in session]


def read_histories() -> dict[Hashable, list[Hashable]]:
    """Read each listener's tracks, oldest first."""
    histories: dict[Hashable, list[Hashable]] = defaultdict(list)
    for listener, tracks in read_sessions():
        histories[listener] += tracks
    return histories


def serve(recommend: Callable[[Hashable, list[Hashable], int], list[Hashable]]) -> None:
    """Answer with the n best tracks for a listener after the tracks of a session."""
    app = Flask("entrant")

    @app.post("/next")
    def next_tracks() -> Response:
        body = request.get_json()
        tracks = recommend(body["listener"], body["session"], body["n"])
        return jsonify(tracks)

    logging.getLogger("werkzeug").setLevel("ERROR")  # not a line for each request
    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # connections stay open
    app.run(port=int(os.environ["PORT"]))


if __name__ == "__main__":  # python service.py MODULE.py
    serve(runpy.run_path(sys.argv[1])["recommend"])
