"""What is exported of one's own interactions, read as the service reads it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import pytest

from analysis import power
from analysis.ab import __main__ as ab
from analysis.ab.config import AbConfig
from analysis.ab.report import build_report
from analysis.logs.columns import Reading, parse_columns
from analysis.offpolicy import __main__ as offpolicy
from botify.errors import ModelError
from botify.event_log import describe_log
from botify.service import Service, load_configured
from botify.settings import Settings
from looplib.cli import run
from looplib.config import dump_config, parse_config
from recsys.config import ExportConfig, SearchConfig, ValidationConfig
from recsys.errors import IngestError
from recsys.export import __main__ as publish
from recsys.export.export import export_run
from recsys.ingest.pipeline import ingest
from recsys.search import __main__ as search
from recsys.search.folder import CONFIG
from recsys.store.ids import Title, read_titles
from recsys.store.remote import open_store
from tests.botify.client import client_of
from tests.recsys.finished import finish_run

USERS, ITEMS = 12, 50
NO_SESSIONS = "holds interactions, which have no sessions"
PAIRS = "user=u,item=i"
PLAYS = "user=u,item=i,share=s,session=n,propensity=p,title=t,artist=a"


def export(
    folder: Path,
    user: Callable[[int], object],
    item: Callable[[int], object],
    columns: str = PAIRS,
) -> Path:
    """Publishes a model of some interactions, or plays, whose ids are made by two functions."""
    generator = np.random.default_rng(3)
    pairs = generator.integers((USERS, ITEMS), size=(400, 2)).tolist()
    rows = [
        {
            "u": user(u),
            "i": item(i),
            "s": i % 11 / 10,
            "n": f"visit {n % 7}",
            "p": 0.5,
            "t": f"No. {i}",
            "a": f"A{i % 9}",
        }
        for n, (u, i) in enumerate(pairs)
    ]
    folder.mkdir(exist_ok=True)
    (folder / "plays.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = Reading(parse_columns(columns))
    ingest([folder / "plays.jsonl"], folder / "store", reading, memory="200MB")
    return publish_model(folder)


def read_lines(*files: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line) for file in files for line in file.read_bytes().splitlines()
    ]


def publish_model(folder: Path) -> Path:
    """Publishes a model of the store in a folder."""
    run = finish_run(folder)
    return Path(export_run(run, folder / "out", ExportConfig(top=5)))


def serve(version: Path, log: Path, **settings: Any) -> Service:  # noqa: ANN401  any setting
    """Starts a service of a version and its own catalogue; the caller closes it."""
    document = {
        "catalogue": str(version / "tracks.json"),
        "recommendations": str(version / "recommendations.jsonl"),
        "log_dir": str(log),
        "experiments": [{"name": "ONE", "arms": [{"recommender": "in_order"}]}],
    }
    found = parse_config(Settings, document | settings, "the test")
    return Service(found, load_configured(found))


def post(service: Service, target: str, body: object) -> tuple[int, Any]:
    """Asks the service as a client does, the target as it stands in the request."""
    answer = client_of(service).post(target, data=orjson.dumps(body))
    return answer.status_code, answer.json


IDS: dict[str, tuple[Callable[[int], int | str], Callable[[int], int | str]]] = {
    "text": (lambda user: f"ü/{user} %", lambda item: f'i"{item}\\'),
    "sparse": (lambda user: 10**12 + 7 * user, lambda item: 1000 - 3 * item),
    "mixed": (lambda user: f"u{user}", lambda item: item),
}


def play_three(service: Service, user: int | str, track: int | str) -> list[int | str]:
    """A session that asks for three tracks, each request sent again; returns all four tracks."""
    played, target = [track], quote(str(user), safe="")
    for number in range(3):
        request = {"track": track, "time": 0.5, "request": number}
        status, answer = post(service, f"/next/{target}", request)
        assert (status, answer["user"]) == (200, user)
        again = {"requests": [{"user": user, **request}]}
        assert post(service, "/next", again) == (200, {"responses": [answer]})
        track = answer["track"]
        played.append(track)
    ended = post(service, f"/last/{target}", {"track": track, "time": 1})
    assert ended == (200, {"user": user})
    return played


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_the_owner_are_served_and_logged(
    kind: str, tmp_path: Path, redis_url: str
) -> None:
    user_of, item_of = IDS[kind]
    version = export(tmp_path, user_of, item_of)
    lines = read_lines(version / "recommendations.jsonl")
    lists = {line["user"]: line["tracks"] for line in lines}
    assert lists.keys() == {user_of(user) for user in range(USERS)}
    tracks = {item_of(item) for item in range(ITEMS)}
    stranger = "nobody" if isinstance(user_of(0), str) else 5
    for redis in (None, redis_url):
        log = tmp_path / f"log-{redis is None}"
        service = serve(version, log, redis_url=redis)
        first, *others = play_three(service, user_of(3), item_of(1))
        assert others == [track for track in lists[user_of(3)] if track != first][:3]
        assert set(play_three(service, stranger, item_of(1))) <= tracks
        _, answer = post(service, "/assignments", {"users": [stranger]})
        assert answer["assignments"][0]["user"] == stranger
        client = client_of(service)
        record = client.get(f"/track/{quote(str(item_of(4)), safe='')}").json
        assert record == {"track": item_of(4), "title": "", "artist": ""}
        other_kind = {"track": "x7" if kind != "text" else 7, "time": 1}
        assert post(service, f"/next/{quote(str(stranger))}", other_kind)[0] == 400
        service.close()
        events = read_lines(*log.glob("*.jsonl"))
        assert len(events) == 8 + 6, "what was sent again is logged again"
        assert {event["user"] for event in events} == {user_of(3), stranger}
        of_stranger = [event for event in events if event["user"] == stranger]
        assert {event["recommender"] for event in of_stranger} == {"fold_in", None}
        assert {event["track"] for event in events} <= tracks
        assert {event["recommendation"] for event in events} <= tracks | {None}


def listen(service: Service, rounds: int, seed: int) -> int:
    """Sessions of three tracks; returns the number of events."""
    generator, events = np.random.default_rng(seed), 0
    for _ in range(rounds):
        user, track = f"u/{generator.integers(USERS)}", f"i{generator.integers(ITEMS)}"
        for what in ("next", "next", "last"):
            request = {"track": track, "time": 0.01 * len(track)}
            _, answer = post(service, f"/{what}/{quote(user, safe='')}", request)
            track, events = answer.get("track"), events + 1
    return events


def test_the_log_of_a_running_service_is_read_in_its_own_ids_and_each_event_once(
    tmp_path: Path,
) -> None:
    version = export(
        tmp_path / "first", lambda user: f"u/{user}", lambda item: f"i{item}"
    )
    arms = [{"recommender": "in_order"}, {"recommender": "random"}]
    log, store = tmp_path / "log", tmp_path / "store"
    service = serve(version, log, experiments=[{"name": "ONE", "arms": arms}])
    describe_log(log, service.bodies.catalogue, text_users=True)
    events = listen(service, 30, seed=1)
    (segment,) = log.glob(".events-*")
    assert build_report([log], "ONE", AbConfig()).lines.good == events
    with segment.open("ab") as torn:  # of an append that goes on
        torn.write(b'{"message":"ne')
    for _ in range(2):
        assert ingest([log], store).store.manifest.events == events
    os.truncate(segment, segment.stat().st_size - len(b'{"message":"ne'))
    events += listen(service, 20, seed=2)
    assert ingest([log], store).store.manifest.events == events
    service.close()
    again = ingest([log], store)
    assert (again.added, len(again.known)) == ((), 1)
    assert again.store.manifest.events == events
    by_log, by_store = (
        build_report([path], "ONE", AbConfig()) for path in (log, store)
    )
    assert by_log.listeners == by_store.listeners
    assert repr(by_log.effects) == repr(by_store.effects)
    assert by_log.lines == by_store.lines
    lines = read_lines(publish_model(tmp_path) / "recommendations.jsonl")
    logged = read_lines(*log.glob("*.jsonl"))
    assert {line["user"] for line in lines} == {event["user"] for event in logged}
    assert {track for line in lines for track in line["tracks"]} <= {
        event["track"] for event in logged
    }
    plays, reading = tmp_path / "first/plays.jsonl", Reading(parse_columns(PAIRS))
    with pytest.raises(
        IngestError,
        match=r"its rows have .*share, recommendation, and these user, item",
    ):
        ingest([plays], store, reading)


def test_a_new_track_is_logged_and_learned_and_recommended_once_the_catalogue_names_it(
    tmp_path: Path,
) -> None:
    first = export(
        tmp_path / "first", lambda user: f"u/{user}", lambda item: f"i{item}"
    )
    log, store, small = tmp_path / "log", tmp_path / "store", first / "tracks.json"
    both = [{"recommender": "in_order"}, {"recommender": "random"}]
    service = serve(first, log, experiments=[{"name": "ONE", "arms": both}])
    describe_log(log, service.bodies.catalogue, text_users=True)
    events = listen(service, 30, seed=1)
    for user in [*range(USERS)] * 5:  # often enough to be in everybody's list
        heard = {"track": "new", "time": 1}
        status, answer = post(service, f"/next/u%2F{user}", heard)
        assert (status, answer["track"] != "new") == (200, True)
    events += 5 * USERS
    service.close()
    assert build_report([log], "ONE", AbConfig()).lines.good == events
    assert ingest([log], store).store.manifest.events == events
    version = publish_model(tmp_path)
    with np.load(version / "factors.npz") as factors:
        assert "new" in factors["tracks"].tolist()
    target = f"/next/{quote('u/1', safe='')}"
    for recommender in ("in_order", "fold_in", "discover"):
        arms = [{"recommender": recommender}]
        settings = {
            "recommendations": str(version / "recommendations.jsonl"),
            "experiments": [{"name": "ONE", "arms": arms}],
        }
        service = serve(first, tmp_path / "next log", **settings)
        for _ in range(6):
            answer = post(service, target, {"track": "new", "time": 1})
            assert answer[1]["track"] in {f"i{item}" for item in range(ITEMS)}
        service.close()
    grown = tmp_path / "tracks.json"
    grown.write_bytes(small.read_bytes() + b'{"track": "new", "artist": "A"}\n')
    service = serve(version, log, catalogue=str(grown))
    describe_log(log, service.bodies.catalogue, text_users=True)
    tracks = ["i1"]
    for _ in range(5):
        answer = post(service, target, {"track": tracks[-1], "time": 1})
        tracks.append(answer[1]["track"])
    assert "new" in tracks
    service.close()
    catalogue = ingest([log], store).store.manifest.catalogue
    assert catalogue is not None
    assert (catalogue.tracks, catalogue.own_ids) == (ITEMS + 1, True)


def test_ids_of_another_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    version = export(tmp_path, lambda user: f"u{user}", lambda item: f"i{item}")
    service = serve(version, tmp_path / "log")
    for target, body, message in (
        (
            "/next/u1",
            {"track": 3, "time": 1},
            "Expected `str`, got `int` - at `$.track`",
        ),
        (
            "/next/u1",
            {"track": "i" * 600, "time": 1},
            "Expected `str` of length <= 512 - at `$.track`",
        ),
        (
            "/next",
            {"requests": [{"user": 1, "track": "i1", "time": 1}]},
            "Expected `str`, got `int`",
        ),
        ("/next/%ff", {"track": "i1", "time": 1}, "is not UTF-8"),
        (
            f"/next/{'u' * 600}",
            {"track": "i1", "time": 1},
            "text of 1 to 512 characters is expected",
        ),
    ):
        status, answer = post(service, target, body)
        assert (status, message in answer["error"]) == (400, True), answer
    service.close()
    with pytest.raises(
        ModelError,
        match="ids of listeners are text, and those of the service are whole numbers",
    ):
        serve(version, tmp_path / "log", text_users=False)
    (version / "tracks.json").write_text('{"track": "i1", "artist": "A"}\n')
    with pytest.raises(
        ModelError,
        match=r"recommendations\.jsonl:\d: track 'i\d+' is not in the catalogue",
    ):
        serve(version, tmp_path / "other log")


def test_plays_give_a_catalogue_and_estimates_in_the_ids_that_came_in(
    tmp_path: Path,
) -> None:
    version = export(tmp_path, lambda user: f"u{user}", lambda item: f"i{item}", PLAYS)
    catalogue = read_lines(version / "tracks.json")
    with np.load(version / "factors.npz", allow_pickle=False) as factors:
        assert [line["track"] for line in catalogue] == factors["tracks"].tolist()
    assert {line["track"]: (line["title"], line["artist"]) for line in catalogue} == {
        f"i{item}": (f"No. {item}", f"A{item % 9}") for item in range(ITEMS)
    }
    titles = read_titles(None, open_store(tmp_path / "store"))
    assert titles["i7"] == Title("i7", "No. 7", "A7")
    lists = f"T1={version / 'recommendations.jsonl'}"
    argv = [
        str(tmp_path / "store"),
        "--recommendations",
        lists,
        "--holdout",
        "all",
        "--out",
        str(tmp_path / "ope.json"),
    ]
    assert run(offpolicy.app, offpolicy.PROG, argv) == 0
    found = json.loads((tmp_path / "ope.json").read_text())
    assert (found["listeners"], found["unfollowed"]) == (USERS, 0)
    assert 0 < found["recommendations"][0]["snips"]["value"] < 1


def test_what_needs_events_is_refused_on_interactions_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, lambda user: user, lambda item: item)
    store = str(tmp_path / "store")
    config = SearchConfig(
        store=store,
        run=str(tmp_path / "run"),
        validation=ValidationConfig(select="ope_time@30"),
    )
    (tmp_path / "run" / CONFIG).write_text(dump_config(config))
    (tmp_path / "search.yaml").write_text(dump_config(config))
    new, again = tmp_path / "new", tmp_path / "again"
    searched = ["--config", str(tmp_path / "search.yaml"), "--run", str(new)]
    by_rank = [*searched, "--set=validation.select=ndcg@30"]
    lists = str(tmp_path / "out/current/recommendations.jsonl")
    capsys.readouterr()
    for module, argv, message in (
        (ab, [store, "--experiment", "A"], NO_SESSIONS),
        (power, [store, "--effect", "5%"], NO_SESSIONS),
        (
            offpolicy,
            [store, "--recommendations", lists, "--holdout", "all"],
            NO_SESSIONS,
        ),
        (search, searched, "ope_time@30 needs event logs, and"),
        (
            search,
            [*by_rank, "--set=split.kind=time"],
            "split.kind time needs timestamps",
        ),
        (
            publish,
            ["--run", str(tmp_path / "run"), "--out", str(again)],
            "ope_time@30 needs event logs, and",
        ),
    ):
        assert run(module.app, module.PROG, argv) == 2
        (line,) = [
            line for line in capsys.readouterr().err.splitlines() if "error:" in line
        ]
        assert message in line
    assert not new.exists()
    assert not again.exists()
