"""Driving a service that behaves: what it is told, and what the summary says."""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pytest

from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel, Sessions, make_model
from sim.remote.config import RemoteConfig
from sim.remote.run import Played, play_sessions
from sim.remote.sessions import SessionQueue
from sim.run import main
from sim.worlds.files import load_world
from tests.sim.remote.fake_service import FakeService, fake_service
from tests.sim.small_world import write_world

TRACKS, EPISODES, SEED = 5000, 150, 11


def play(
    model: ListeningModel,
    url: str,
    *,
    timeout_s: float = 60,
    patience_s: float = 60,
    **changes: Any,  # noqa: ANN401  any of RemoteConfig's fields
) -> Played:
    """Plays sessions in this process, eight requests at a time unless told otherwise."""
    values = {"concurrency": 8, "seed": SEED, "episodes": EPISODES, **changes}
    config = RemoteConfig.model_validate({"url": url, **values})
    with mock.patch.multiple(
        "sim.remote.client", TIMEOUT_S=timeout_s, PATIENCE_S=patience_s
    ):
        return asyncio.run(play_sessions(model, config))


@pytest.fixture(scope="module")
def expected(
    demo_model: ListeningModel,
) -> Counter[tuple[int, tuple[tuple[int, float], ...]]]:
    """The sessions by the listening model alone, under the fake service's rule."""
    draws, row = SessionDraws(SEED, demo_model), np.zeros(1, dtype=np.int64)
    sessions = Sessions(demo_model, 1)
    found = []
    for number in (np.array([number]) for number in range(EPISODES)):
        listener = draws.listeners(number)
        sessions.start(row, draws.starts(number))
        while len(sessions.under_way()):
            track = (
                7 * sessions.last_tracks(row) + 13 * listener + sessions.length
            ) % TRACKS
            sessions.hear(row, track, draws.boredom(number, sessions.length))
        times = (sessions.hundredths[: sessions.length[0], 0] / 100).tolist()
        found.append(
            (
                int(listener[0]),
                tuple(zip(sessions.played(0).tolist(), times, strict=True)),
            )
        )
    return Counter(found)


@pytest.mark.parametrize(("pools", "batch"), [(40, 0), (2, 50)])
def test_what_listeners_do_follows_from_the_seed_and_the_session_alone(
    demo_model: ListeningModel, expected: Counter[Any], pools: int, batch: int
) -> None:
    with fake_service(TRACKS) as service:
        played = play(demo_model, service.url, concurrency=pools, batch=batch)
    assert Counter(service.sessions) == expected
    assert not service.open
    assert (played.sessions, played.retries) == (EPISODES, 0)


def test_a_listener_has_one_open_session_at_a_time(tmp_path: Path) -> None:
    """Three listeners and many pools: a second open session would join the first."""
    model = make_model(load_world(write_world(tmp_path / "world")))
    for batch in (0, 5):
        with fake_service(12) as service:
            play(model, service.url, concurrency=16, batch=batch, episodes=60)
        assert len(service.sessions) == 60
        assert all(events[0][1] == 1.0 for _, events in service.sessions)
        assert {user for user, _ in service.sessions} == {0, 1, 2}


def test_one_request_at_a_time_goes_over_one_kept_connection(
    demo_model: ListeningModel,
) -> None:
    with fake_service(TRACKS) as service:
        play(demo_model, service.url, concurrency=1, episodes=40)
    assert service.connections == 1
    assert set(service.paths) == {"POST /next/", "POST /last/"}


def test_batches_hold_different_listeners_of_the_size_asked_for(
    demo_model: ListeningModel,
) -> None:
    with fake_service(TRACKS) as service:
        play(demo_model, service.url, concurrency=1, batch=100)
    events = sum(len(events) for _, events in service.sessions)
    assert set(service.paths) == {"POST /next", "POST /last"}
    assert service.paths["POST /next"] < events / 30


def test_draws_of_a_session_are_the_same_alone_and_among_others(
    demo_model: ListeningModel,
) -> None:
    draws, others = SessionDraws(3, demo_model), SessionDraws(3, demo_model)
    numbers, lengths = (
        np.array([5, 1023, 1024, 70_000, 5, 5]),
        np.array([1, 70, 30, 29, 30, 2]),
    )
    together = draws.boredom(numbers, lengths)
    alone = [
        others.boredom(numbers[i : i + 1], lengths[i : i + 1])[0] for i in range(6)
    ]
    assert together.tolist() == alone
    assert len(np.unique(together)) == together.size


def test_the_queue_keeps_listeners_in_the_order_of_their_sessions(
    tmp_path: Path,
) -> None:
    model = make_model(load_world(write_world(tmp_path / "world")))
    queue = SessionQueue(SessionDraws(1, model), 3000)
    taken: dict[int, list[int]] = {}
    while len(numbers := queue.take(2)):
        listeners = SessionDraws(1, model).listeners(numbers)
        assert len(set(listeners.tolist())) == len(listeners)
        for number, listener in zip(numbers.tolist(), listeners.tolist(), strict=True):
            taken.setdefault(listener, []).append(number)
        queue.free(listeners.tolist())
    assert sorted(number for numbers in taken.values() for number in numbers) == list(
        range(3000)
    )
    assert all(
        earlier < later
        for numbers in taken.values()
        for earlier, later in pairwise(numbers)
    )


def _run(demo_world: Path, service: FakeService, *words: str) -> int:
    return main(
        [
            "--recommender",
            "remote",
            "--world",
            str(demo_world),
            "--url",
            service.url,
            *words,
        ]
    )


def test_the_summary_has_means(
    demo_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep" / "summary.json"
    with fake_service(TRACKS) as service:
        assert (
            _run(
                demo_world,
                service,
                "--episodes",
                "200",
                "--seed",
                "5",
                "--summary",
                str(file),
            )
            == 0
        )
    summary = orjson.loads(file.read_bytes())
    assert (summary["schema"], summary["seed"]) == (5, 5)
    assert (summary["sessions"], summary["retries"]) == (200, 0)
    assert summary["tracks"] == pytest.approx(
        np.mean([len(events) for _, events in service.sessions])
    )
    times = [sum(time for _, time in events) for _, events in service.sessions]
    assert summary["time"] == pytest.approx(np.mean(times))
    shown = capsys.readouterr().out
    assert shown.startswith("200 sessions, ")
    assert shown.endswith(f"listening time {summary['time']:.3f}\n")
    assert list(file.parent.iterdir()) == [file]


def test_a_service_without_batches_is_said(
    demo_world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_service(TRACKS, has_batches=False) as service:
        assert _run(demo_world, service, "--episodes", "20", "--batch", "10") == 2
        assert (
            f'{service.url}/next: refused with 404: {{"error":"no such address"}}'
            in capsys.readouterr().err
        )
    assert not service.sessions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--url", "ftp://there"],
            "url: URL scheme should be 'http' or 'https' (found 'ftp://there')",
        ),
        (
            ["--url", "http://there:port"],
            "url: Input should be a valid URL, invalid port number",
        ),
        (["--log", "somewhere"], "log: unknown key"),
        (
            ["--batch", "-1"],
            "batch: Input should be greater than or equal to 0 (found '-1')",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    demo_world: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert (
        main(
            [
                "--recommender",
                "remote",
                "--world",
                str(demo_world),
                "--episodes",
                "3",
                *words,
            ]
        )
        == 2
    )
    *progress, error = capsys.readouterr().err.splitlines()
    assert message in error
    assert all(line.startswith("listening: ") for line in progress)


def test_a_session_of_a_listener_who_is_never_bored_is_ended(tmp_path: Path) -> None:
    """At a thousand tracks, where the service ends it too."""
    tracks = [{"track": i, "artist": i} for i in range(1500)]
    users = [
        {"user": 0, "interests": [0], "consume_bias": -100.0, "session_budget": 2000}
    ]
    model = make_model(
        load_world(
            write_world(
                tmp_path / "w",
                tracks=tracks,
                embeddings=np.ones((1500, 2)),
                users=users,
            )
        )
    )
    with fake_service(1500) as service:
        driven = play(model, service.url, concurrency=1, episodes=1)
    assert [len(events) for _, events in service.sessions] == [1000]
    assert driven.tracks == 1000


def test_a_summary_that_cannot_be_written_is_said(
    demo_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_service(TRACKS) as service:
        assert (
            _run(demo_world, service, "--episodes", "3", "--summary", str(tmp_path))
            == 2
        )
    assert f"{tmp_path}: Is a directory" in capsys.readouterr().err
