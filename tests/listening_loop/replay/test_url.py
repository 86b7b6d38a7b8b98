"""`replay --url`: the plays sent to a service of anybody, whose failures are counted."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import WSGIRequestHandler, make_server

from listening_loop.command import main
from listening_loop.replay import traffic
from listening_loop.replay.adapter import Play, load_adapter
from tests.conftest import Run
from tests.listening_loop.replay.conftest import TRACKS, write_plays
from tests.programs import free_port

Whole = tuple[Path, Mapping[str, list[list[str]]]]
View = Callable[[dict[str, Any]], ResponseReturnValue]
COLUMNS = "listener=u,track=i,artist=a,played_at=timestamp"
PYTHON = """
import json
class Ours:
    ready = "/"
    def requests(self, play):
        body = {"listener": play.user, "session": play.session, "n": play.n}
        return ["POST /next\\n" + json.dumps(body)]
    def read(self, content):
        return json.loads(content)
adapter = Ours()
"""


def follow(body: dict[str, Any]) -> ResponseReturnValue:
    """Recommend the track just played, and those that most often follow it."""
    number = int(body["session"][-1][1:])
    return [f"t{(number + step) % TRACKS}" for step in range(0, 3 * body["n"], 3)]


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open

    def log_request(self, *_: object) -> None:
        pass

    def connection_dropped(self, *_: object) -> None:
        self.close_connection = True


@contextmanager
def serving(view: View, port: int) -> Iterator[None]:
    app = Flask("service")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.post("/next")(lambda: view(orjson.loads(request.data)))
    server = make_server("127.0.0.1", port, app, True, request_handler=Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plays(tmp_path_factory.mktemp("plays") / "plays.csv", "timestamp")


@pytest.fixture(scope="module")
def whole(plays: Path) -> Whole:
    """The replay of a service that never fails, and the sessions that it was sent."""
    sent: dict[str, list[list[str]]] = defaultdict(list)

    def remember(body: dict[str, Any]) -> ResponseReturnValue:
        sent[body["listener"]].append(body["session"])
        return follow(body)

    port, out = free_port(), plays.parent / "out"
    with serving(remember, port):
        assert main(asking(plays, port, out, "--connections", "1")) == 0
    return out, sent


def asking(plays: Path, port: int, out: Path, *more: str) -> list[str]:
    words = ["replay", str(plays), "--columns", COLUMNS, "--out", str(out), *more]
    adapter = () if "--adapter" in more else ("--adapter", "session")
    return [*words, "--url", f"http://127.0.0.1:{port}", *adapter]


def scores_of(out: Path) -> list[dict[str, Any]]:
    scores: list[dict[str, Any]] = json.loads((out / "report.json").read_text())[
        "scores"
    ]
    return scores


def test_any_service_is_asked_in_order_and_scored_for_any_number_of_connections(
    plays: Path, tmp_path: Path, whole: Whole
) -> None:
    out, sent = whole
    python = tmp_path / "adapter.py"
    python.write_text(PYTHON)
    port = free_port()
    with serving(follow, port):
        more = ("--adapter", str(python), "--connections", "8", "--after", "0.8")
        assert main(asking(plays, port, tmp_path, *more)) == 0
    scores = scores_of(out)
    assert [row["value"] for row in scores_of(tmp_path)] == [
        row["value"] for row in scores
    ]
    older = Counter(
        row["listener"]
        for row in csv.DictReader((out / "older.csv").read_text().splitlines())
    )
    played: dict[str, list[str]] = defaultdict(list)
    table = csv.DictReader(plays.read_text().splitlines())
    for row in sorted(table, key=lambda row: int(row["timestamp"])):
        played[row["u"]].append(row["i"])
    predictions = hits = 0
    for user, sessions in sent.items():
        assert [session[-1] for session in sessions] == played[user][older[user] :]
        for session, following in pairwise(sessions):
            if len(following) > len(session) and following[-1] != session[-1]:
                assert following[:-1] == session
                predictions += 1
                step = int(following[-1][1:]) - int(session[-1][1:])
                hits += step % TRACKS == 3
    (first,) = (
        row for row in scores if (row["group"], row["metric"]) == ("all", "precision@1")
    )
    assert first["predictions"] == predictions
    assert first["value"] == pytest.approx(hits / predictions, abs=1e-6)
    assert 0.5 < first["value"] < 1


def test_failures_are_counted_and_a_service_that_comes_again_loses_nothing(
    plays: Path,
    tmp_path: Path,
    whole: Whole,
    printed: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "_WAITS_S", (0.01, 0.1, 0.5, 2.0, 20.0))
    scores = scores_of(whole[0])
    port = free_port()
    calls: Counter[str] = Counter()

    def fail(body: dict[str, Any]) -> ResponseReturnValue:
        calls["all"] += 1
        if calls["all"] % 9 == 0:
            abort(503)
        return follow(body)

    with serving(fail, port):
        shown = printed(*asking(plays, port, tmp_path / "failing"))
    failed = calls["all"] // 9
    assert f"requests that failed and were sent again: 503 {failed}." in shown
    assert scores_of(tmp_path / "failing") == scores

    def die(body: dict[str, Any]) -> ResponseReturnValue:
        calls["before"] += 1
        if calls["before"] == 100:
            Thread(target=restart).start()
        if calls["before"] >= 100:
            raise ConnectionAbortedError  # its open connections die with it
        return follow(body)

    def restart() -> None:
        first.__exit__(None, None, None)
        second.__enter__()

    first, second = serving(die, port), serving(follow, port)
    first.__enter__()
    more = ("--connections", "2")
    shown = printed(*asking(plays, port, tmp_path / "dying", *more))
    second.__exit__(None, None, None)
    assert "no connection" in shown
    assert scores_of(tmp_path / "dying") == scores


def test_a_ranking_that_never_comes_is_a_miss(
    plays: Path,
    tmp_path: Path,
    whole: Whole,
    printed: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "_WAITS_S", (0.0, 0.0))

    def refuse_some(body: dict[str, Any]) -> ResponseReturnValue:
        if body["listener"] == "u3":
            abort(500)
        return follow(body)

    port = free_port()
    with serving(refuse_some, port):
        shown = printed(*asking(plays, port, tmp_path))
    assert "lost " in shown
    without, lossy = scores_of(whole[0])[1], scores_of(tmp_path)[1]
    assert lossy["predictions"] == without["predictions"]
    assert 0 < lossy["value"] < without["value"]


def test_a_service_that_is_asked_wrongly_is_told_apart(
    plays: Path, tmp_path: Path, refusal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "_WAITS_S", (0.0,))
    port, out = free_port(), tmp_path / "out"
    assert "allowed are gorse, listening-loop, session, or a .yaml or .py file" in (
        refusal(*asking(plays, port, out, "--adapter", "nobody"))
    )
    assert "no service to replay through" in refusal(
        "replay", str(plays), "--columns", COLUMNS
    )
    assert "the service stopped" in refusal(*asking(plays, port, out))
    template = tmp_path / "wrong.yaml"
    template.write_text("play: [POST /other]")
    with serving(lambda _: {"tracks": []}, port):
        problem = refusal(*asking(plays, port, out, "--adapter", str(template)))
        assert "the service refuses (404)" in problem
        template.write_text('play: ["POST /next\\n{}"]\nranking: /items')
        problem = refusal(*asking(plays, port, out, "--adapter", str(template)))
        assert "the adapter cannot convert" in problem
        assert "KeyError('items')" in problem
        template.write_text("play: ['POST /next/{{ listener }}']")
        problem = refusal(*asking(plays, port, out, "--adapter", str(template)))
        assert "'listener' is undefined" in problem
    template.write_text("play: [/next]")
    problem = refusal(*asking(plays, port, out, "--adapter", str(template)))
    assert "play" in problem


# Requests and an answer as gorse's REST documentation has them; no gorse ran here.
GORSE = {
    "POST /api/feedback": [{"FeedbackType": "listen", "UserId": "a/1", "ItemId": "7"}],
    "POST /api/session/recommend?n=21": [
        {"FeedbackType": "listen", "ItemId": "5"},
        {"FeedbackType": "listen", "ItemId": "7"},
    ],
}
GORSE_ANSWER = b'[{"Id": "9", "Score": 0.5}, {"Id": "5", "Score": 0.25}]'


def requests_of(name: str, play: Play) -> dict[str, Any]:
    """Return the bodies of requests by their methods and paths."""
    requests = load_adapter(name).requests(play)
    lines = (request.partition("\n") for request in requests)
    return {line: orjson.loads(body) for line, _, body in lines}


def test_adapters_speak_as_their_services_do() -> None:
    play = Play("a/1", 7, 0.5, 3, [5, 7], 21, is_last=False)
    last = play._replace(is_last=True)
    assert requests_of("gorse", play) == GORSE
    assert [*requests_of("gorse", last)] == ["POST /api/feedback"]
    assert load_adapter("gorse").read(GORSE_ANSWER) == ["9", "5"]
    body = {"track": 7, "time": 0.5, "request": 3}
    asked = requests_of("listening-loop", play)
    assert asked == {"POST /next/a%2F1": body | {"n": 20}}
    assert requests_of("listening-loop", last) == {"POST /last/a%2F1": body}
