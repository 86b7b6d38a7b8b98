"""Simulated listeners beside published figures of real ones: the table of docs/realism.md.

    python -m benchmarks.realism course demo seed easy

Each figure is of 20,000 sessions, under any track (`random`), any track of the artist just heard
(`same artist`), one of the 100 tracks heard most (`popular`), or one of the 30 tracks nearest to
the session's first (`neighbours`).
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from looplib.arrays import FloatArray, IntArray
from looplib.config import load_config
from looplib.randomness import make_generator
from sim.collect import Recommend, play_out, recommend_random
from sim.listening.sessions import ListeningModel, Sessions, make_model, start_sessions
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world
from sim.worlds.neighbours import nearest_tracks

SESSIONS, POPULAR, NEIGHBOURS = 20_000, 100, 30
PUBLISHED = {
    "tracks a session, random": "6.97",
    "listening time a session, random": "1.98",
    "its standard deviation": "1.69",
    "tracks heard not at all, random": "0.374",
    "lift of the same artist, %": "41 … 67",
    "lift of popular tracks, %": "-8 … 62",
    "lift of neighbours, %": "161",
    "skipped at position 1, neighbours": "0.377",
    "skipped at position 3, neighbours": "0.505",
    "tracks heard not at all, neighbours": "0.074",
    "median share heard, neighbours": "1",
}


def listen(
    model: ListeningModel, recommend: Recommend, listeners: IntArray, seed: int
) -> Sessions:
    """Play a whole session of each of these listeners."""
    rng = make_generator(seed, "listen")
    sessions = start_sessions(model, listeners, rng)
    play_out(sessions, recommend, rng)
    return sessions


def session_times(sessions: Sessions) -> FloatArray:
    """Return the listening time of each session, its organic track included."""
    return sessions.total_hundredths / 100


def recommend_from(lists: IntArray) -> Recommend:
    """Return a recommender that draws any track of the opening track's list (tracks, length)."""

    def recommend(
        sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        first = sessions.tracks[0, rows]
        drawn: IntArray = lists[first, rng.integers(lists.shape[1], size=len(rows))]
        return drawn

    return recommend


def recommend_same_artist(
    sessions: Sessions, rows: IntArray, rng: np.random.Generator
) -> IntArray:
    """Draw any track of the artist just heard, as the original course service does."""
    artist = sessions.world.artist
    by_artist, sizes = np.argsort(artist, kind="stable"), np.bincount(artist)
    wanted = artist[sessions.last_tracks(rows)]
    first = (np.cumsum(sizes) - sizes)[wanted]
    drawn: IntArray = by_artist[first + rng.integers(sizes[wanted])]
    return drawn


def measure(model: ListeningModel) -> dict[str, float]:
    """Return the figures of `PUBLISHED` in a world."""
    world = model.world
    who = make_generator(0, "realism").integers(world.listeners, size=SESSIONS)
    random = listen(model, recommend_random, who, seed=2)
    tracks, shares = recommended(random)
    popularity = np.bincount(tracks, weights=shares, minlength=world.tracks)
    most_heard = np.argsort(-popularity, kind="stable")[:POPULAR]
    everywhere = np.tile(most_heard, (world.tracks, 1))
    popular = listen(model, recommend_from(everywhere), who, seed=3)
    same_artist = listen(model, recommend_same_artist, who, seed=4)
    nearest = nearest_tracks(world.embeddings, np.arange(world.tracks), NEIGHBOURS + 1)
    neighbours = listen(model, recommend_from(nearest[:, 1:]), who, seed=5)
    _, near_shares = recommended(neighbours)
    time = session_times(random)
    return {
        "tracks a session, random": random.length.mean(),
        "listening time a session, random": time.mean(),
        "its standard deviation": time.std(),
        "tracks heard not at all, random": np.mean(shares == 0),
        "lift of the same artist, %": lift(same_artist, random),
        "lift of popular tracks, %": lift(popular, random),
        "lift of neighbours, %": lift(neighbours, random),
        "skipped at position 1, neighbours": skipped_at(neighbours, 1),
        "skipped at position 3, neighbours": skipped_at(neighbours, 3),
        "tracks heard not at all, neighbours": np.mean(near_shares == 0),
        "median share heard, neighbours": np.median(near_shares),
    }


def recommended(sessions: Sessions) -> tuple[IntArray, FloatArray]:
    """Return all recommended tracks and the share heard of each."""
    is_recommended = sessions.is_played()
    is_recommended[0] = False  # organic
    longest = len(is_recommended)
    tracks = sessions.tracks[:longest][is_recommended].astype(np.int64)
    return tracks, sessions.hundredths[:longest][is_recommended] / 100


def lift(sessions: Sessions, base: Sessions) -> float:
    """Return how much longer sessions are than others, in %."""
    ratio = session_times(sessions).mean() / session_times(base).mean()
    return float(100 * (ratio - 1))


def skipped_at(sessions: Sessions, position: int) -> float:
    """Return the share of recommended tracks at a position that are heard to less than half."""
    heard = sessions.hundredths[position, sessions.length > position]
    return float((heard < 50).mean())


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Worlds of configs/world; by default course, demo, seed, easy."
        ),
    ] = None,
) -> None:
    """Make the worlds and print the table in Markdown."""
    names = names or ["course", "demo", "seed", "easy"]
    columns = []
    for name in names:
        config = load_config(WorldConfig, Path(f"configs/world/{name}.yaml"))
        with tempfile.TemporaryDirectory() as folder:
            world = Path(folder) / "world"
            make_world(config, world)
            columns.append(measure(make_model(load_world(world))))
    print(f"| figure | published | {' | '.join(names)} |")
    print(f"|---|---|{'---|' * len(names)}")
    for figure, published in PUBLISHED.items():
        cells = [f"{column[figure]:.3g}" for column in columns]
        print(f"| {figure} | {published} | {' | '.join(cells)} |")


if __name__ == "__main__":
    typer.run(main)
