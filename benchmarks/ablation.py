"""What parts of the session model bring: listening time that is lost when one is left out.

    python -m benchmarks.ablation [--world seed] [--sessions 2000]

Simulated listeners hear what the service's recommender plays them, by a model that was fitted with
a part and by one without it, in the same sessions: listener, interest and opening track are the
same. Losses have 95 % intervals over sessions.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from benchmarks.harness import measure_module
from benchmarks.realism import listen, session_times
from benchmarks.worlds import config_of
from botify.model.catalogue import Catalogue, load_catalogue
from botify.model.model import Model
from botify.model.session_model import SESSION_MODEL, read_session_model
from botify.model.tracklists import NO_LISTS
from botify.recommenders.base import Row
from botify.recommenders.session_model import FollowInterest
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.randomness import make_generator
from looplib.session_model import SessionModel
from recsys.config import SessionModelConfig, Split
from recsys.dataset.split import SplitRule
from recsys.session_model.export import save_session_model
from recsys.session_model.fit import Chosen, Fit, fit_session_model
from recsys.session_model.responses import Responses, load_responses
from recsys.store.remote import open_store
from sim.collect import recommend_random
from sim.listening.sessions import Sessions, make_model
from sim.world import make_world
from sim.worlds.files import load_world

# name → what is changed in it, beside the world of that name in `benchmarks.worlds`
WORLDS: Mapping[str, list[str]] = {
    "seed": [
        "catalogue.tracks=6000",
        "catalogue.artists=800",
        "listeners.listeners=1200",
    ],
    "changing": [],
    "200-nearest": [],
}
COLLECTED = 60_000  # sessions that models learn from


def _openings_alone(fit: Fit) -> Int32Array:
    return np.arange(len(fit.responses.organic), dtype=np.int32)


def _nothing(listeners: FloatArray, tracks: FloatArray) -> Chosen:
    sizes = len(listeners), len(tracks)
    return Chosen(*(np.zeros((size, 0), np.float32) for size in sizes))


def factor_openings(responses: Responses) -> tuple[FloatArray, FloatArray]:
    """Factor who opens sessions with what, in place of the export's ALS model."""
    shape = (len(responses.users), len(responses.tracks))
    ones = np.ones(len(responses.organic))
    opened = csr_matrix((ones, (responses.listener, responses.organic)), shape)
    found: Any = svds(opened, 32, random_state=1)
    left, lengths, right = (np.asarray(part, np.float64) for part in found)
    return left * lengths, right.T * lengths


# What stands in for a part in the fit.
WITHOUT_IN_FIT: Mapping[str, tuple[Any, str, Callable[..., Any]]] = {
    "what was chosen": (Chosen, "of_factors", lambda *factors: _nothing(*factors)),
    "first guess of interests": (Fit, "first_interests", _openings_alone),
    "second grouping": (Fit, "regroup", lambda _, interest_of: interest_of),
    "what is expected of tracks": (
        Fit,
        "_expected_tracks",
        lambda fit: np.zeros_like(fit.tracks.means),
    ),
}
# What the service is given in place of the model.
WITHOUT_IN_SERVICE: Mapping[str, Callable[[SessionModel], SessionModel]] = {
    "fatigue of artists": lambda model: replace(model, artist_fatigue=1.0),
    "tiredness": lambda model: replace(model, tiredness=1.0),
    "known interests at a new opening": lambda model: replace(
        model, odds=np.full_like(model.odds, -1e9)
    ),
    "odds of known interests": lambda model: replace(
        model, odds=np.zeros_like(model.odds)
    ),
}


def main(
    world: Annotated[str, typer.Option(help="One of " + ", ".join(WORLDS))] = "seed",
    sessions: Annotated[int, typer.Option(help="Sessions to hear.")] = 2000,
    out: Annotated[Path, typer.Option(help="Folder of worlds.")] = Path("out/ablation"),
) -> None:
    """Print a table of parts and losses."""
    folder = _prepare(world, out)
    catalogue_file = folder / "world" / "tracks.json"
    store, catalogue = open_store(folder / "store"), load_catalogue(catalogue_file)
    config = SessionModelConfig(catalogue=catalogue_file)
    rule = SplitRule(Split(), seed=1)
    responses = load_responses(store, catalogue_file, rule)
    model = make_model(load_world(folder / "world"))
    rng = make_generator(3, "ablation")
    listeners = rng.integers(model.world.listeners, size=sessions)

    def play(served: SessionModel) -> FloatArray:
        player = _player(catalogue, served)
        return session_times(listen(model, player, listeners, seed=7))

    def fit() -> SessionModel:
        chosen = Chosen.of_factors(*factor_openings(responses))
        fitted = fit_session_model(responses, chosen, config, seed=42, threads=2)
        file = folder / "session_model.npz"
        save_session_model(file, responses, fitted, store)
        with file.open("rb") as opened:
            return read_session_model(opened, catalogue)

    random = session_times(listen(model, recommend_random, listeners, seed=7))
    whole = fit()
    full = play(whole)
    print(
        f"the whole model in {world}: {full.sum() / random.sum() - 1:+.0%} over random"
    )
    print("| without | loss, % |\n|---|---|")
    for part, (owner, name, stand_in) in WITHOUT_IN_FIT.items():
        with patch.object(owner, name, stand_in):
            served = fit()
        print(f"| {part} | {loss(full, play(served))} |")
    for part, change in WITHOUT_IN_SERVICE.items():
        print(f"| {part} | {loss(full, play(change(whole)))} |")


def loss(full: FloatArray, without: FloatArray) -> str:
    """Return how much less the second hears in the same sessions, with its interval, in %."""
    ratio = without.sum() / full.sum()
    error = (without - ratio * full).std() / np.sqrt(len(full)) / full.mean()
    low, high = 1 - ratio - 1.96 * error, 1 - ratio + 1.96 * error
    return f"{100 * (1 - ratio):+.1f} ({100 * low:+.1f} … {100 * high:+.1f})"


def _prepare(name: str, out: Path) -> Path:
    """Make a world, its log and its store, where they are not there."""
    folder = out / name
    if not (folder / "store").exists():
        make_world(config_of(name, WORLDS[name]), folder / "world")
        measure_module(
            "sim.run",
            config="configs/collect/demo.yaml",
            episodes=COLLECTED,
            world=folder / "world",
            log=folder / "log",
        )
        measure_module("recsys.ingest", folder / "log", store=folder / "store")
    return folder


def _player(
    catalogue: Catalogue, served: SessionModel
) -> Callable[[Sessions, IntArray, np.random.Generator], IntArray]:
    """Return the service's recommender, as sessions of the simulator ask it."""
    model = Model(
        version="ablation",
        created_at=datetime.now(UTC),
        folder=None,
        catalogue=catalogue,
        text_users=False,
        recommendations=NO_LISTS,
        popular=[],
        parts={SESSION_MODEL.name: served},
    )
    recommender = FollowInterest()

    def recommend(
        sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        batch = []
        for row in rows.tolist():
            tracks = sessions.played(row).tolist()
            hundredths = sessions.hundredths[: len(tracks), row]
            times = (hundredths / 100).tolist()
            batch.append(Row(int(sessions.listener[row]), tracks, times))
        drawn = [recommender.draw(model, row, rng) for row in batch]
        return np.array([track for track, _ in drawn])

    return recommend


if __name__ == "__main__":
    typer.run(main)
