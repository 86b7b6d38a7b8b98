from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from botify.model.factors import FACTORS
from botify.recommenders.base import Drawn, Recommender
from botify.recommenders.registry import RECOMMENDERS, load_recommenders
from botify.schemas import Listening
from botify.service import Service
from botify.sessions.local import Session
from looplib.als import AlsConfig
from tests.botify.client import client_of, events, post
from tests.botify.conftest import LIMIT, MakeService, start_service
from tests.botify.exports import edit_manifest, experiments_of, write_catalogue

HEARD = {"track": 1, "time": 1}
LEARNED = ["top_pop", "indexed", "in_order", "fold_in", "live"]


def test_every_acknowledged_event_is_logged_with_all_that_is_known(
    client: FlaskClient, service: Service
) -> None:
    heard = {"track": 299, "time": 0.25}
    track = post(client, "/next/4", heard)["track"]
    post(client, "/next/3", {"track": 8, "time": 1, "request": 7})
    post(client, "/last/4", {"track": track, "time": 0})
    post(client, "/next/4", heard)
    first, second, last, after = events(service)
    assert first.pop("latency") < 1
    session, timestamp = first.pop("session"), first.pop("timestamp")
    assert first == {
        "message": "next",
        "user": 4,
        "recommendation": track,
        "experiments": {"ONE": "C", "OTHER": "on"},
        "recommender": "indexed",
        "propensity": 1 / 30,
        **heard,
    }
    assert (second["recommender"], second["propensity"]) == ("sticky_artist", 0.25)
    assert (second["experiments"]["ONE"], second["request"]) == ("T1", 7)
    assert (last["message"], last["recommendation"]) == ("last", None)
    assert last["session"] == session != after["session"]
    assert last["timestamp"] >= timestamp


def test_a_batch_answers_in_order_and_asks_the_sessions_in_parts(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service()
    client, sizes = client_of(service), list[int]()
    hear = service.sessions.hear

    def count(requests: Sequence[Listening], *, is_last: bool) -> list[Session | None]:
        sizes.append(len(requests))
        return hear(requests, is_last=is_last)

    monkeypatch.setattr(service.sessions, "hear", count)
    users = [5, 4, 4, 19, 4] * 100
    requests = [{"user": user, **HEARD, "request": user} for user in users]
    answers = post(client, "/next", {"requests": requests})["responses"]
    pairs = [(answer["user"], answer["track"]) for answer in answers]
    assert [user for user, _ in pairs] == users
    ended = post(client, "/last", {"requests": requests})
    assert ended == {"responses": [{"user": user} for user in users]}
    assert sizes == [400, 100] * 2
    logged = events(service)
    keys = ("user", "request", "recommendation", "latency")
    facts = [tuple(event[key] for key in keys) for event in logged]
    expected = [(user, user, track, None) for user, track in pairs]
    assert facts == expected + [(user, user, None, None) for user in users]


def test_a_list_is_answered_beside_the_track_where_it_is_asked_for(
    make_service: MakeService,
) -> None:
    client = client_of(make_service(seed=3, repeat_after=1))
    alone = [post(client, "/next/4", HEARD) for _ in range(2)]
    with_list = [post(client, "/next/5", HEARD | {"n": 3})]
    batch = [{"user": 4, **HEARD}, {"user": 5, **HEARD, "n": 1}]
    with_list += post(client, "/next", {"requests": batch})["responses"]
    assert [answer.keys() for answer in alone] == [{"user", "track"}] * 2
    assert [len(answer.get("tracks", ())) for answer in with_list] == [3, 0, 1]
    assert all(answer["track"] == answer["tracks"][0] for answer in with_list[::2])
    assert post(client, "/last/5", HEARD | {"n": 3}) == {"user": 5}


@pytest.mark.parametrize("name", ["random", "sticky_artist", "indexed"])
def test_draws_follow_from_a_seed(make_service: MakeService, name: str) -> None:
    client = client_of(make_service(seed=3, experiments=experiments_of(name)))
    requests = {"requests": [{"user": user, **HEARD, "n": 4} for user in range(20)]}
    first = post(client, "/next", requests)
    assert post(client, "/next", requests) != first, "the sessions have two tracks"
    post(client, "/last", requests)
    assert post(client, "/next", requests) == first


def test_a_track_that_the_catalogue_lacks_is_logged_and_answered(
    client: FlaskClient, service: Service
) -> None:
    new = {"track": 300, "time": 0.5}
    answers = [post(client, "/next/4", new)]
    batch = [{"user": 4, **new}, {"user": 3, "track": 10**15, "time": 1}]
    answers += post(client, "/next", {"requests": batch})["responses"]
    assert {answer["track"] for answer in answers} <= set(range(300))
    post(client, "/last/4", new)
    assert "botify_unknown_tracks_total 4.0" in client.get("/metrics").text
    logged = events(service)
    assert [event["track"] for event in logged] == [300, 300, 10**15, 300]
    assert len({event["session"] for event in logged if event["user"] == 4}) == 1


def test_without_a_store_answers_go_on_and_are_counted(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(requests: Sequence[Listening], **_: bool) -> list[None]:
        return [None] * len(requests)

    monkeypatch.setattr(service.sessions, "hear", lost)
    for _ in range(3):
        assert post(client, "/next/4", HEARD)["track"] != 1
    counted = "botify_requests_without_session_store_total 3.0"
    assert counted in client.get("/metrics").text
    assert [event["session"] for event in events(service)] == [None] * 3


def test_a_recommender_that_fails_is_counted_logged_once_and_done_without(
    client: FlaskClient,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> Drawn:
        raise ZeroDivisionError

    monkeypatch.setitem(load_recommenders(), "indexed", Recommender(fail))
    for _ in range(3):
        post(client, "/next/4", HEARD)
    counted = 'botify_recommender_failures_total{recommender="indexed"} 3.0'
    assert counted in client.get("/metrics").text
    assert caplog.messages == ["indexed failed, and fallbacks answer"]
    answer = client.get("/recommend/4?recommender=indexed&n=3")
    assert answer.get_json()["tracks"] == service.versions.model.popular[:3]
    assert {event["recommender"] for event in events(service)} == {"top_pop"}


def test_assigned_arms_are_those_of_the_log_and_asking_for_them_logs_nothing(
    client: FlaskClient, service: Service
) -> None:
    users = [4, 2**63 - 1, 3, 4, *range(LIMIT - 4)]
    assigned = post(client, "/assignments", {"users": users})["assignments"]
    assert 'botify_events_total{message="next"} 0.0' in client.get("/metrics").text
    post(client, "/next", {"requests": [{"user": user, **HEARD} for user in users]})
    logged = [(event["user"], event["experiments"]) for event in events(service)]
    assert logged == [(answer["user"], answer["experiments"]) for answer in assigned]
    assert {arms["ONE"] for _, arms in logged} == {"C", "T1"}


def test_every_arm_answers_on_a_catalogue_alone(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", [n % 9 for n in range(60)])
    experiments = experiments_of("random", "sticky_artist", *LEARNED)
    nothing = {"recommendations": None, "experiments": experiments}
    service = start_service(tmp_path, catalogue, **nothing)
    client = client_of(service)
    for _ in range(3):
        many = [{"user": user, "track": user % 60, "time": 0.8} for user in range(200)]
        post(client, "/next", {"requests": many})
    assert client.get("/experiments").get_json()["version"] == "none"
    assert client.get("/health/ready").status_code == 200
    assert service.versions.reload() is service.versions.model
    answered = {
        (event["experiments"]["ONE"], event["recommender"]) for event in events(service)
    }
    assert {name for arm, name in answered if arm not in ("C", "T1")} == {"random"}
    warnings = service.settings.warnings(service.versions.model)
    assert [warning.split(" needs ")[0] for warning in warnings] == [
        f"arm T{arm}: {name}" for arm, name in enumerate(LEARNED, 2)
    ]
    expected = "arm T3: indexed needs lists, which version none lacks; instead: random"
    assert warnings[1] == expected


def test_candidates_are_ranked_by_any_recommender_and_the_rest_comes_as_it_came(
    make_service: MakeService, tmp_path: Path
) -> None:
    names = ("indexed", "fold_in")
    service = make_service(experiments=experiments_of(*names))
    edit_manifest(tmp_path / "versions/one", parameters=AlsConfig().model_dump())
    model = service.versions.reload()
    factors: Any = model.get(FACTORS)
    client = client_of(service)
    own = model.recommendations.list_of(3)
    candidates = [own[4], *sorted({*range(40)} - {*own})[:2], own[1]]

    def ranked(**body: object) -> list[int]:
        asked = {"user": 3, "candidates": candidates, **body}
        return list(post(client, "/rank", asked)["tracks"])

    assert ranked()[:2] == [own[1], own[4]]
    assert sorted(ranked()) == sorted(candidates)
    assert ranked(recommender="in_order") == ranked()
    scores = factors.items @ factors.solve([7], [1.0])
    expected = sorted(candidates, key=lambda track: -scores[track])
    assert ranked(recommender="fold_in", session=[7]) == expected
    assert set(ranked(recommender="random", candidates=[1, 2, 999])) == {1, 2}
    assert ranked(candidates=[999]) == []
    for body, message in (
        ({"recommender": "live"}, "live needs live.npz, which version one"),
        ({"recommender": "x"}, "recommender: x found; allowed: random, "),
        ({"candidates": [1] * 1001}, "length <= 1000"),
    ):
        asked = {"user": 3, "candidates": candidates, **body}
        assert message in post(client, "/rank", asked, 400)["error"]
    tracks = client.get("/recommend/3?n=3&recommender=fold_in").get_json()["tracks"]
    assert tracks == model.popular[:3]  # nothing was heard that they could be near to
    best = client.get("/recommend/3?n=40&recommender=fold_in").get_json()["tracks"]
    assert len(set(best)) == 40


def test_what_a_listener_played_is_remembered_across_sessions_until_it_is_erased(
    make_service: MakeService,
) -> None:
    service = make_service(experiments=experiments_of("latest"), repeat_after=1)
    client = client_of(service)

    def latest() -> list[int]:
        answer = client.get("/recommend/4?n=2&recommender=latest")
        return list(answer.get_json()["tracks"])

    for track in (5, 9):
        post(client, "/last/4", {"track": track, "time": 1})
    answer = post(client, "/next/4", {"track": 7, "time": 1, "n": 2})
    assert answer["tracks"] == [9, 5]
    assert latest() == [7, 9]
    ranked = {"user": 4, "candidates": [9, 3, 7], "session": [3, 9]}
    ranking = post(client, "/rank", {**ranked, "recommender": "latest"})
    assert ranking["tracks"] == [9, 3, 7]
    service.sessions.erase(4)
    assert latest() == service.versions.model.popular[:2]


@pytest.mark.parametrize(
    ("settings", "never_waits"),
    [
        ({"experiments": experiments_of("interleaved(indexed, live)")}, True),
        ({"fsync": "always"}, False),
        ({"redis_url": "redis://127.0.0.1:1"}, False),
        ({"experiments": experiments_of("other", "indexed")}, False),
    ],
)
def test_what_may_wait_is_known(
    make_service: MakeService,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    never_waits: bool,
) -> None:
    monkeypatch.setitem(load_recommenders(), "other", RECOMMENDERS["random"])
    assert make_service(**settings).never_waits == never_waits
