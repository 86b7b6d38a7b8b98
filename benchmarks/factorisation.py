"""An explicit matrix factorisation of the share heard, on the opening track and the track.

What a session model has to beat: the share is m + b_t + x_o . y_t, by alternating ridge regressions
on the recommended tracks of all sessions; a session gets the track of the largest share. One
response in ten chooses the ridge.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from looplib.arrays import AnyIntArray, Float32Array, IntArray
from looplib.randomness import make_generator
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.plan import plan_dataset
from recsys.runs.folder import read_run
from recsys.session_model.regression import Grouping
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import open_store
from recsys.workspace import open_workspace
from sim.collect import Recommend
from sim.listening.sessions import Sessions

RANK, SWEEPS, TRACK_RIDGE = 16, 8, 10.0
RIDGES = (1.0, 3.0, 10.0)
HELD_OUT = 10


def read_responses(folder: Path) -> tuple[Dataset, Responses]:
    """Read the dataset of a world's search, and the responses in its log."""
    config, winner = read_run(open_workspace(folder / "run"))
    store = open_store(config.store)
    dataset = open_dataset(store.workspace.sub(f"cache/{winner.dataset}").address)
    rule = plan_dataset(store, config).rule
    return dataset, load_responses(store, dataset, rule)


def factorise(folder: Path) -> Recommend:
    """Fit the factorisation to the log of a world, and return its recommender."""
    _, responses = read_responses(folder)
    organic = responses.organic[responses.opening]
    is_held_out = np.arange(len(responses)) % HELD_OUT == 0
    found = []
    for ridge in RIDGES:
        fitted = _fit(responses, organic, np.flatnonzero(~is_held_out), ridge)
        x, y, offsets = fitted
        opened, track = organic[is_held_out], responses.track[is_held_out]
        shares = offsets[track] + np.einsum("ij,ij->i", x[opened], y[track])
        error = float(np.mean((responses.time[is_held_out] - shares) ** 2))
        found.append((error, ridge, fitted))
    x, y, offsets = min(found)[2]

    def answer(sessions: Sessions, rows: IntArray, _: np.random.Generator) -> IntArray:
        chosen = []
        for row in rows.tolist():
            played = sessions.played(row)
            shares = y @ x[played[0]] + offsets
            shares[played] = -np.inf
            chosen.append(int(shares.argmax()))
        return np.array(chosen)

    return answer


def _fit(
    responses: Responses, organic: AnyIntArray, rows: IntArray, ridge: float
) -> tuple[Float32Array, Float32Array, Float32Array]:
    tracks = len(responses.artist)
    opened_by = Grouping(organic[rows], tracks)
    heard = Grouping(responses.track[rows], tracks)
    mean = responses.time[rows].mean()
    left = responses.time[rows] - mean
    sums = np.bincount(heard.row, left, tracks)
    offsets = (sums / (heard.counts + TRACK_RIDGE)).astype(np.float32)
    left = left - offsets[heard.row]
    start = make_generator(1, "factorisation").standard_normal((tracks, RANK))
    y = (start / np.sqrt(RANK)).astype(np.float32)
    for _ in range(SWEEPS):
        x = _solve(opened_by, heard.row, left, y, ridge)
        y = _solve(heard, opened_by.row, left, x, ridge)
    return x, y, offsets + mean


def _solve(
    by_row: Grouping,
    column: AnyIntArray,
    values: Float32Array,
    features: Float32Array,
    ridge: float,
) -> Float32Array:
    """Solve the ridge regression of each row on the features of its columns."""
    solved = np.zeros((len(by_row.counts), RANK), np.float32)
    penalty = ridge * np.eye(RANK, dtype=np.float32)
    for row, (start, end) in enumerate(pairwise(by_row.starts.tolist())):
        own = by_row.order[start:end]
        design = features[column[own]]
        solved[row] = np.linalg.solve(
            design.T @ design + penalty, design.T @ values[own]
        )
    return solved
