"""What each recommender of the service brings in listening time: an A/B test in process, against the simulator's rules.

    python -m benchmarks.policies --world out/seed/world --version out/seed/run/export/current [--sessions 2000]

The exported files are loaded as the service loads them and asked through its recommenders, fallbacks included; the
sessions are the simulator's, with everything but HTTP between the two left out. Every arm has other listeners and other
sessions, drawn from one seed. `oracle` knows the session's interest and recommends what will be heard longest.

Printed for each arm: listening time a session with its organic track (a 95 % interval by the normal approximation), the
effect relative to random (interval by the delta method), tracks a session, the share of the oracle's gain, the share of
answers that were fallbacks, and CPU time an answer when asked in one batch.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from botify.model.catalogue import load_catalogue
from botify.model.model import Model, load_model
from botify.recommenders.base import Row
from botify.recommenders.fallback import recommend
from botify.settings import Settings
from looplib.arrays import FloatArray, IntArray
from looplib.config import parse_config
from looplib.randomness import make_generator
from sim.listening.response import raw_share
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.worlds.files import load_world

ARMS = ("random", "sticky_artist", "top_pop", "indexed", "contextual", "session_als", "session_context", "oracle")
LONGEST = 1000  # tracks; the service ends a session then
SEED = 11
_NORMAL_95 = 1.96

Policy = Callable[[Sessions, IntArray, np.random.Generator], IntArray]


@dataclass(frozen=True)
class Arm:
    """What one arm's sessions came to.

    Attributes:
        name: Of the recommender.
        times: Listening time of each session, the organic track included.
        tracks: IntArray a session.
        fallbacks: Share of the answers that another recommender gave.
        answer_ms: CPU time an answer.
    """

    name: str
    times: FloatArray
    tracks: float
    fallbacks: float
    answer_ms: float

    @property
    def mean(self) -> float:
        """Listening time a session."""
        return float(self.times.mean())

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(self.times.std(ddof=1) / len(self.times) ** 0.5)


def play(model: ListeningModel, name: str, policy: Policy, sessions: int, fallbacks: Callable[[], float]) -> Arm:
    """Plays an arm's sessions to their ends."""
    rng = make_generator(SEED, f"arm {name}")
    state = Sessions(model, rng.integers(model.world.listeners, size=sessions), rng)
    spent, answers = 0.0, 0
    while len(rows := _open(state)):
        begun = time.process_time()
        tracks = policy(state, rows, rng)
        spent += time.process_time() - begun
        answers += len(rows)
        state.hear(rows, tracks, rng.random(len(rows)))
    times = state.hundredths.sum(axis=0, dtype=np.int64) / 100
    return Arm(name, times, float(state.length.mean()), fallbacks(), 1000 * spent / answers)


def _open(state: Sessions) -> IntArray:
    rows = state.under_way()
    return rows[state.length[rows] < LONGEST]


class Served:
    """A recommender of the service as a policy."""

    def __init__(self, model: Model, name: str, settings: Settings) -> None:
        """Asks that recommender, and whom the settings name where it has no answer."""
        self._model, self._name, self._fallback = model, name, settings.fallback
        self._answers = self._others = 0

    def __call__(self, state: Sessions, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """A track for each session."""
        batch = [_row(state, row) for row in rows.tolist()]
        answers = recommend(self._model, batch, [self._name] * len(batch), self._fallback, rng)
        self._answers += len(answers)
        self._others += sum(name != self._name for name, _ in answers)
        return np.array([drawn.track for _, drawn in answers])

    def fallbacks(self) -> float:
        """Share of the answers that others gave."""
        return self._others / max(self._answers, 1)


def _row(state: Sessions, row: int) -> Row:
    tracks = state.played(row).tolist()
    times = (state.hundredths[: len(tracks), row] / 100).tolist()
    return Row(int(state.listener[row]), tracks, times, set(tracks))


def make_oracle(model: ListeningModel) -> Policy:
    """Recommends the track that will be heard longest, knowing the world."""
    world = model.world
    grouped = np.argsort(world.artist, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(world.artist))])

    def best(state: Sessions, row: int) -> int:
        who, heard = state.listener[row], state.played(row)
        share = raw_share(
            world.embeddings @ world.embeddings[state.interest[row]],
            world.consume_bias[who],
            world.consume_sharpness[who],
        )
        for artist, plays in zip(*np.unique(world.artist[heard], return_counts=True), strict=True):
            share[grouped[starts[artist] : starts[artist + 1]]] *= world.gamma[who] ** plays
        share[heard] = -1
        return int(share.argmax())

    return lambda state, rows, _rng: np.array([best(state, row) for row in rows.tolist()])


def report(arms: list[Arm]) -> None:
    """Prints a line for each arm."""
    base, top = arms[0], max(arms, key=lambda arm: arm.mean)
    heads = ("time a session", "to random", "tracks", "of best", "others", "ms")
    widths = (17, 19, 7, 8, 8, 6)
    print(" ".join([f"{'recommender':16}", *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))]))
    for arm in arms:
        ratio = arm.mean / base.mean
        error = ratio * ((arm.error / arm.mean) ** 2 + (base.error / base.mean) ** 2) ** 0.5
        gain = (arm.mean - base.mean) / max(top.mean - base.mean, 1e-9)
        print(
            f"{arm.name:16} {arm.mean:8.3f} ± {_NORMAL_95 * arm.error:6.3f} "
            f"{100 * (ratio - 1):+10.0f} % ± {100 * _NORMAL_95 * error:4.0f} % {arm.tracks:7.1f} {gain:8.1%} "
            f"{arm.fallbacks:8.1%} {arm.answer_ms:6.2f}"
        )


def main() -> None:
    """Plays all arms and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--version", type=Path, required=True, help="folder of a published version")
    parser.add_argument("--sessions", type=int, default=2000, help="of each arm")
    parser.add_argument("--oracle-sessions", type=int, default=300, help="of the oracle, which is slow; 0: without it")
    options = parser.parse_args()
    listening = make_model(load_world(options.world))
    document = {
        "catalog": str(options.world / "tracks.json"),
        "recommendations": str(options.version / "recommendations.jsonl"),
        "log_dir": "unused",
        "experiments": [{"name": "ALL", "arms": [{"recommender": name} for name in ARMS[:-1]]}],
        "decides": "ALL",
    }
    settings = parse_config(Settings, document, "the benchmark")
    model = load_model(settings, load_catalogue(settings.catalog))
    arms = []
    for name in ARMS[:-1]:
        served = Served(model, name, settings)
        arms.append(play(listening, name, served, options.sessions, served.fallbacks))
    if options.oracle_sessions:
        arms.append(play(listening, "oracle", make_oracle(listening), options.oracle_sessions, lambda: 0.0))
    report(arms)


if __name__ == "__main__":
    main()
