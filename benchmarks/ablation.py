"""What parts of the session model bring: listening time that is lost when one is left out.

    python -m benchmarks.ablation [--worlds demo,changing] [--episodes 2000]

Simulated listeners hear what the service's recommender plays them, by a model that was fitted with
a part and by one without it, in the same sessions: listener, interest and opening track are the
same. Losses have 95 % intervals over sessions.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import orjson
import typer

from benchmarks.factorisation import read_responses
from benchmarks.worlds import ask_service, config_of, lift, play, prepare
from botify.model.catalogue import load_catalogue
from botify.model.loading import no_model
from botify.model.session_model import SESSION_MODEL
from looplib.arrays import AnyFloatArray, Float32Array, FloatArray
from looplib.session_model import SessionModel
from recsys.session_model.config import SessionModelConfig
from recsys.session_model.fit import Chosen, Fit
from sim.collect import recommend_random
from sim.listening.sessions import make_model
from sim.worlds.files import load_world


def _nothing(listeners: AnyFloatArray, tracks: AnyFloatArray) -> Chosen:
    return Chosen.nothing(len(listeners), len(tracks))


def _without_artists(fit: Fit) -> Float32Array:
    chosen = np.column_stack([fit.chosen.tracks, np.ones(len(fit.chosen.tracks))])
    found = np.linalg.lstsq(chosen, fit.tracks.means, rcond=None)[0]
    expected: Float32Array = (chosen @ found).astype(np.float32)
    return expected


COLLECTED = 100_000  # sessions that models learn from
# What stands in for a part in the fit.
WITHOUT_IN_FIT: Mapping[str, tuple[Any, str, Any]] = {
    "what was chosen": (Chosen, "of_factors", _nothing),
    "artists of tracks": (Fit, "_expected_tracks", _without_artists),
}
# What the service is given in place of the model.
WITHOUT_IN_SERVICE: Mapping[str, Callable[[SessionModel], SessionModel]] = {
    "fatigue of artists": lambda model: replace(model, artist_fatigue=1.0),
    "changes of interest": lambda model: replace(model, interest_change=0.0),
    "known interests": lambda model: replace(
        model, listeners=np.zeros_like(model.listeners)
    ),
}


def main(
    worlds: Annotated[str, typer.Option(help="Names of benchmarks.worlds.")] = (
        "demo,changing,effects"
    ),
    episodes: Annotated[int, typer.Option(help="Sessions to hear.")] = 2000,
    out: Annotated[Path, typer.Option(help="Folder of worlds.")] = Path("out/worlds"),
) -> None:
    """Print a table of parts and losses for each world."""
    for name in worlds.split(","):
        prepare(out / name, config_of(name), COLLECTED)
        ablate(name, out / name, episodes)


def ablate(name: str, folder: Path, episodes: int) -> None:
    """Print the table of a world."""
    _, responses = read_responses(folder)
    catalogue = load_catalogue(folder / "world" / "tracks.json")
    model = make_model(load_world(folder / "world"))
    published = folder / "published" / "current"
    facts = orjson.loads((published / "manifest.json").read_bytes())["session_model"]
    factors = np.load(published / "factors.npz")

    def fit() -> SessionModel:
        chosen = Chosen.of_factors(factors["user_factors"], factors["item_factors"])
        found = Fit(chosen, SessionModelConfig(), seed=42, threads=1)
        found.run(responses.training())
        found.extend(responses, facts["interest_change"])
        return replace(found.describe(), interest_change=facts["interest_change"])

    def player(served: SessionModel) -> FloatArray:
        nothing = no_model(catalogue, text_users=False)
        version = replace(nothing, parts={SESSION_MODEL.name: served})
        return play(model, ask_service(version, "session_model"), episodes)

    random = play(model, recommend_random, episodes)
    whole = fit()
    full = player(whole)
    print(f"{name}: {lift(full, random)[0]:+.0f} % over random\n", flush=True)
    print("| without | loss, % |\n|---|---|")
    for part, stand_in in WITHOUT_IN_FIT.items():
        with patch.object(*stand_in):
            served = fit()
        print(f"| {part} | {loss(full, player(served))} |", flush=True)
    for part, change in WITHOUT_IN_SERVICE.items():
        print(f"| {part} | {loss(full, player(change(whole)))} |", flush=True)


def loss(full: FloatArray, without: FloatArray) -> str:
    """Return how much less the second hears in the same sessions, with its interval, in %."""
    value, low, high = lift(without, full)
    return f"{-value:+.1f} ({-high:+.1f} … {-low:+.1f})"


if __name__ == "__main__":
    typer.run(main)
