"""The matrix of recommenders and worlds: its oracle, its table, its picture."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.oracle import Oracle
from benchmarks.worlds import (
    BEST,
    SIMPLE,
    WORLDS,
    Row,
    ask_service,
    config_of,
    draw_worlds,
    lift,
    play,
    table_of,
)
from botify.model.catalogue import load_catalogue
from botify.model.loading import no_model
from looplib.config import load_config
from looplib.randomness import make_generator
from sim.listening.response import raw_share
from sim.listening.sessions import make_model, own_logits, start_sessions
from sim.world import make_world
from sim.worlds.config import ResponseConfig, WorldConfig
from sim.worlds.files import load_world

SMALL = [
    "catalogue.tracks=300",
    "catalogue.artists=40",
    "catalogue.genres=9",
    "listeners.listeners=30",
]
LIFTS = {
    arm: (10.0 * number, 10.0 * number - 5, 10.0 * number + 5)
    for number, arm in enumerate((*SIMPLE, BEST), 1)
}


@pytest.mark.parametrize("changes", ["", "idiosyncrasy=1 interest_change=0.5 noise=1"])
def test_the_oracle_takes_the_best_of_all_tracks(tmp_path: Path, changes: str) -> None:
    overrides = [*SMALL, *(f"response.{change}" for change in changes.split())]
    make_world(
        load_config(WorldConfig, Path("configs/world/easy.yaml"), overrides),
        tmp_path / "world",
    )
    model = make_model(load_world(tmp_path / "world"))
    world, rng = model.world, make_generator(1, "test")
    sessions, oracle = start_sessions(model, np.arange(30), rng), Oracle(model.world)
    for _ in range(6):
        rows = sessions.under_way()
        chosen = oracle(sessions, rows, rng)
        for row, track in zip(rows.tolist(), chosen.tolist(), strict=True):
            who = np.array([sessions.listener[row]])
            dots = (
                world.embeddings.astype(np.float64)
                @ world.embeddings[sessions.interest[row]]
            )
            own = own_logits(world, who, np.arange(world.tracks))
            worth = raw_share(
                dots, world.consume_bias[who], world.consume_sharpness[who], own
            )
            played = sessions.played(row)
            worth *= 0.8 ** np.array(
                [(world.artist[played] == artist).sum() for artist in world.artist]
            )
            worth[played] = -1
            assert worth[track] == pytest.approx(worth.max(), rel=1e-5)
        sessions.hear(rows, chosen, rng.random(len(rows)))


def test_every_world_differs_from_the_easy_one() -> None:
    easy = config_of("easy")
    assert easy.response == ResponseConfig()
    assert all(config_of(name) != easy for name in WORLDS if name != "easy")


def test_the_service_plays_whole_sessions_of_the_same_starts(tmp_path: Path) -> None:
    world = tmp_path / "world"
    make_world(config_of("easy", SMALL), world)
    catalogue = load_catalogue(world / "tracks.json")
    version, model = no_model(catalogue), make_model(load_world(world))
    times = [
        play(model, ask_service(version, name), episodes=20)
        for name in ("sticky_artist", "sticky_artist", "random")
    ]
    assert (times[0] == times[1]).all()
    assert (times[0] != times[2]).any()
    assert lift(times[0], times[1]) == (0, 0, 0)
    value, low, high = lift(2 * times[2], times[2] + 0.0)
    assert (value, low, high) == pytest.approx((100, 100, 100))


def test_the_table_marks_the_best_and_says_the_share_of_what_the_oracle_gains() -> None:
    lifts = LIFTS | {"oracle": (400.0, 380.0, 420.0)}
    row = Row("easy", lifts, (12.0, -1.0, 30.0), SIMPLE[-1], BEST)
    shares, lifts_of = table_of([row]).split("\n\n")
    assert shares.splitlines()[-1].endswith("| **20%** |")
    assert shares.count("**") == 2
    line = lifts_of.splitlines()[-1]
    assert "| +80 % (+75 … +85) |" in line
    assert line.endswith(f"+12 % (-1 … +30), {SIMPLE[-1]} | {BEST} |")


def test_the_picture_has_a_line_for_each_world() -> None:
    svg = draw_worlds(
        [(name, LIFTS | {"oracle": (400.0, 380.0, 420.0)}) for name in WORLDS]
    )
    assert svg.startswith("<svg")
    assert all(f">{name}<" in svg for name in (*WORLDS, BEST, "oracle"))
