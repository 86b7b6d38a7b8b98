"""The matrix of recommenders and worlds: its oracle, its table, its picture."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.oracle import Oracle
from benchmarks.worlds import (
    ARMS,
    BEST,
    SIMPLE,
    WORLDS,
    Row,
    draw_worlds,
    table_of,
    write_configs,
)
from listening_loop.config import LoopConfig
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
    for number, arm in enumerate(ARMS[1:], 1)
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


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_has_a_loop_that_can_be_run(tmp_path: Path, name: str) -> None:
    loop = load_config(
        LoopConfig, write_configs(name, tmp_path / name, sessions=1000, episodes=10)
    )
    world = load_config(WorldConfig, loop.world)
    assert (world.response == ResponseConfig()) == (name == "easy")
    service = yaml.safe_load(loop.service.read_text())
    assert [arm["recommender"] for arm in service["experiments"][0]["arms"]] == list(
        ARMS
    )
    assert str(tmp_path / name) in service["catalogue"]
    assert loop.traffic.episodes == 10 * len(ARMS)


def test_the_table_marks_the_best_and_says_the_share_of_what_the_oracle_gains() -> None:
    row = Row(
        "easy",
        LIFTS | {"oracle": (400.0, 380.0, 420.0)},
        (12.0, -1.0, 30.0),
        SIMPLE[-1],
    )
    *_, line = table_of([row]).splitlines()
    assert "**+60** (+55 … +65); 15%" in line
    assert line.count("**") == 2
    assert line.endswith(f"+12 % (-1 … +30), {SIMPLE[-1]} |")
    assert list(row.lifts) == [*SIMPLE, BEST, "oracle"]


def test_the_picture_has_a_line_for_each_world() -> None:
    svg = draw_worlds(
        [(name, LIFTS | {"oracle": (400.0, 380.0, 420.0)}) for name in WORLDS]
    )
    assert svg.startswith("<svg")
    assert all(f">{name}<" in svg for name in (*WORLDS, BEST, "oracle"))
