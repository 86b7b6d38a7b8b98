"""One call of the session recommender: the time of a draw, by the tracks that it scores.

    python -m benchmarks.session_call

The model is random, of 41 numbers a vector and 10,000 listeners with six interests each; sessions
have heard 1 to 32 tracks after the opening, which is known in every second one. What a draw takes
is the CPU time of its thread, so that other programs on the machine count less.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.harness import show_machine
from botify.model.catalogue import load_catalogue
from botify.model.loading import no_model
from botify.model.model import Model
from botify.model.session_model import SESSION_MODEL
from botify.recommenders.base import Row
from botify.recommenders.session_model import FollowInterest
from looplib.arrays import Float32Array, FloatArray
from looplib.session_model import SessionModel
from tests.botify.exports import write_catalogue

SIZE, LISTENERS, INTERESTS, OPENINGS, LONGEST = 41, 10_000, 6, 18, 32


def main(
    sizes: Annotated[
        str, typer.Option(help="Tracks of a catalogue, by commas.")
    ] = "300,5000,50000",
    calls: Annotated[int, typer.Option(min=100, help="Of each length.")] = 1000,
) -> None:
    """Print median and 99th percentile of a draw, in microseconds."""
    print(
        "| tracks scored | tracks heard | median, µs | p99, µs |\n|---:|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory(prefix="session-call-") as folder:
        for tracks in map(int, sizes.split(",")):
            model = make_model(Path(folder) / "tracks.json", tracks)
            for heard in (1, 10, LONGEST):
                took_us = 1e6 * time_calls(model, heard, calls)
                median, p99 = np.percentile(took_us, [50, 99])
                print(
                    f"| {tracks:,} | {heard} | {median:.0f} | {p99:.0f} |", flush=True
                )
    show_machine("numpy")


def make_model(catalogue: Path, tracks: int) -> Model:
    """Return what a service holds: a catalogue, and a random session model."""
    write_catalogue(catalogue, [track // 10 for track in range(tracks)])
    rng = np.random.default_rng(1)

    def vectors(rows: int) -> Float32Array:
        return (0.3 * rng.standard_normal((rows, SIZE))).astype(np.float32)

    near = 0.1 * np.eye(SIZE, dtype=np.float32)
    fitted = SessionModel(
        track_factors=vectors(tracks),
        listeners=np.repeat(np.arange(LISTENERS), OPENINGS),
        organics=np.tile(np.arange(OPENINGS), LISTENERS),
        interest_of=np.arange(LISTENERS * OPENINGS, dtype=np.int32) // 3,
        interests=vectors(LISTENERS * INTERESTS),
        odds=np.zeros(LISTENERS * INTERESTS, np.float32),
        covariance=near,
        new_map=np.eye(SIZE, dtype=np.float32),
        new_covariance=3 * near,
        dispersion=0.3,
        artist_fatigue=0.8,
        interest_change=0.05,
    )
    nothing = no_model(load_catalogue(catalogue), text_users=False)
    return replace(nothing, parts={SESSION_MODEL.name: fitted})


def time_calls(model: Model, heard: int, calls: int) -> FloatArray:
    """Return the CPU seconds of each of some draws."""
    rng, recommender = np.random.default_rng(heard), FollowInterest()
    tracks, took_s = len(model.catalogue), []
    for call in range(calls):
        others = rng.choice(np.arange(OPENINGS, tracks), heard, replace=False)
        opening = int(rng.integers(OPENINGS)) if call % 2 else int(others[0])
        session = [opening, *others.tolist()]
        row = Row(int(rng.integers(LISTENERS)), session, rng.random(heard + 1).tolist())
        began = time.thread_time()
        recommender.draw(model, row, rng)
        took_s.append(time.thread_time() - began)
    return np.array(took_s)


if __name__ == "__main__":
    typer.run(main)
