"""Exports of plays with the owner's ids, read as the service reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import pytest

from botify.errors import ModelError
from botify.event_log import describe_log
from botify.service import Service, load_configured
from recsys.config import ExportConfig
from recsys.ingest.pipeline import ingest
from tests.botify.client import client_of, read_lines
from tests.botify.exports import experiments_of, make_settings, read_lists
from tests.recsys.finished import finish_run
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import ingest_tables, write_json

USERS, ITEMS = 12, 50
COLUMNS = "user=u,item=i,title=t,artist=a"
Id = int | str


def export(
    folder: Path,
    user: Callable[[int], Id] = "u/{}".format,
    item: Callable[[int], Id] = "i{}".format,
) -> Path:
    """Publish a model of plays whose ids are made by two functions."""
    generator = np.random.default_rng(3)
    pairs = generator.integers((USERS, ITEMS), size=(400, 2)).tolist()
    rows = [
        {
            "u": user(u),
            "i": item(i),
            "t": f"No. {i}",
            "a": f"A{i % 9}",
        }
        for u, i in pairs
    ]
    folder.mkdir(exist_ok=True)
    ingest_tables(folder, write_json(folder / "plays.jsonl", rows), columns=COLUMNS)
    return publish_model(folder)


def publish_model(folder: Path) -> Path:
    """Publishes a model of the store in a folder."""
    return publish_run(finish_run(folder), folder / "out", ExportConfig(top=5))


def serve(version: Path, log: Path, *recommenders: str, **settings: Any) -> Service:  # noqa: ANN401  any setting
    """Starts a service of a version and its own catalogue; the caller closes it."""
    changes = {
        "recommendations": str(version / "recommendations.jsonl"),
        "log_dir": str(log),
        "experiments": experiments_of(*recommenders or ("in_order",)),
        **settings,
    }
    catalogue = Path(changes.pop("catalogue", version / "tracks.json"))
    parsed = make_settings(version, catalogue, **changes)
    service = Service(parsed, load_configured(parsed))
    describe_log(log, service.bodies.catalogue, text_users=service.bodies.text_users)
    return service


def post(service: Service, target: str, body: object) -> tuple[int, Any]:
    """Asks the service as a client does, the target as it stands in the request."""
    answer = client_of(service).post(target, data=orjson.dumps(body))
    return answer.status_code, answer.json


def target_of(user: Id, message: str = "next") -> str:
    return f"/{message}/{quote(str(user), safe='')}"


IDS: dict[str, tuple[Callable[[int], Id], Callable[[int], Id]]] = {
    "text": (lambda user: f"ü/{user} %", lambda item: f'i"{item}\\'),
    "sparse": (lambda user: 10**12 + 7 * user, lambda item: 1000 - 3 * item),
    "mixed": (lambda user: f"u{user}", lambda item: item),
}


def play_three(service: Service, user: Id, track: Id) -> list[Id]:
    """A session that asks for three tracks, each request sent again; returns all four tracks."""
    played = [track]
    for number in range(3):
        request = {"track": track, "time": 0.5, "request": number}
        status, answer = post(service, target_of(user), request)
        assert (status, answer["user"]) == (200, user)
        # fold_in counts the track a second time, so its answer may be another
        again = {"requests": [{"user": user, **request}]}
        status, repeated = post(service, "/next", again)
        assert (status, repeated["responses"][0]["user"]) == (200, user)
        track = answer["track"]
        played.append(track)
    ended = post(service, target_of(user, "last"), {"track": track, "time": 1})
    assert ended == (200, {"user": user})
    return played


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_the_owner_are_served_and_logged(kind: str, tmp_path: Path) -> None:
    user_of, item_of = IDS[kind]
    version = export(tmp_path, user_of, item_of)
    lists = read_lists(version)
    assert lists.keys() == {user_of(user) for user in range(USERS)}
    tracks = {item_of(item) for item in range(ITEMS)}
    listener, stranger = user_of(3), "nobody" if kind != "sparse" else 5
    service = serve(version, tmp_path / "log")
    first, *recommended = play_three(service, listener, item_of(1))
    expected = [track for track in lists[listener] if track != first]
    assert recommended == expected[:3]
    assert set(play_three(service, stranger, item_of(1))) <= tracks
    _, answer = post(service, "/assignments", {"users": [stranger]})
    assert answer["assignments"][0]["user"] == stranger
    track = client_of(service).get(f"/track/{quote(str(item_of(4)), safe='')}").json
    assert track == {"track": item_of(4), "title": "No. 4", "artist": "A4"}
    wrong = {"track": "x7" if kind != "text" else 7, "time": 1}
    assert post(service, target_of(stranger), wrong)[0] == 400, "of the other kind"
    service.close()
    events = read_lines(*(tmp_path / "log").glob("*.jsonl"))
    assert len(events) == 2 * (2 * 3 + 1), "what was sent again is logged again"
    assert {event["user"] for event in events} == {listener, stranger}
    by_stranger = {e["recommender"] for e in events if e["user"] == stranger}
    assert by_stranger == {"fold_in", None}
    assert {event["track"] for event in events} <= tracks
    assert {event["recommendation"] for event in events} <= tracks | {None}


def test_a_new_track_is_logged_and_learned_and_recommended_once_the_catalogue_names_it(
    tmp_path: Path,
) -> None:
    first = export(tmp_path / "first")
    log, store = tmp_path / "log", tmp_path / "store"
    service = serve(first, log, "random")
    users = [f"u/{user}" for user in range(USERS)] * 9  # the track is in every list
    for user in users:
        request = {"track": "new", "time": 1}
        answer = post(service, target_of(user), request)[1]
        assert answer["track"] != "new"
        post(service, target_of(user, "last"), {"track": answer["track"], "time": 0.3})
    service.close()
    assert ingest([log], store).store.manifest.events == 2 * len(users)
    version = publish_model(tmp_path)
    catalogue = {f"i{item}" for item in range(ITEMS)}
    lists = str(version / "recommendations.jsonl")
    for recommender in ("in_order", "fold_in"):
        other_log = tmp_path / f"log {recommender}"
        service = serve(first, other_log, recommender, recommendations=lists)
        for _ in range(6):
            request = {"track": "new", "time": 1}
            assert post(service, target_of("u/1"), request)[1]["track"] in catalogue
        service.close()
    grown = tmp_path / "tracks.json"
    old = (first / "tracks.json").read_bytes()
    grown.write_bytes(old + b'{"track": "new", "artist": "A"}\n')
    service = serve(version, log, catalogue=str(grown))
    tracks = ["i1"]
    for _ in range(5):
        request = {"track": tracks[-1], "time": 1}
        tracks.append(post(service, target_of("u/1"), request)[1]["track"])
    assert "new" in tracks
    service.close()
    described = ingest([log], store).store.manifest.catalogue
    assert described is not None
    assert (described.tracks, described.own_ids) == (ITEMS + 1, True)


def test_ids_of_another_kind_are_refused_in_one_line(tmp_path: Path) -> None:
    version = export(tmp_path)
    service = serve(version, tmp_path / "log")
    good = {"track": "i1", "time": 1}
    for target, body, message in (
        ("/next/u1", {**good, "track": 3}, "Expected `str`, got `int`"),
        ("/next/u1", {**good, "track": "i" * 600}, "Expected `str` of length <= 512"),
        ("/next", {"requests": [{**good, "user": 1}]}, "Expected `str`, got `int`"),
        ("/next/%ff", good, "is not UTF-8"),
        (f"/next/{'u' * 600}", good, "text of 1 to 512 characters is expected"),
    ):
        status, answer = post(service, target, body)
        assert (status, message in answer["error"]) == (400, True), answer
    service.close()
    kinds = "ids of listeners are text, and those of the service are whole numbers"
    with pytest.raises(ModelError, match=kinds):
        serve(version, tmp_path / "log", text_users=False)


def test_recommenders_find_all_that_they_read_in_an_export(tmp_path: Path) -> None:
    names = ("repeat", "new", "fold_in")
    service = serve(export(tmp_path), tmp_path / "log", *names)
    client = client_of(service)
    for name in names:
        path = f"/recommend/{quote('u/3', safe='')}?recommender={name}"
        assert client.get(path).status_code == 200, name
    service.close()
