"""A lab over damaged and hostile files: the others are shown, nothing outside its root is."""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from listening_loop.client import ServiceClient
from listening_loop.command import main
from listening_loop.lab.app import create_app
from looplib.checksums import seal
from recsys.config import SearchConfig
from recsys.lock import LOCK
from recsys.report.page import write_report
from tests.analysis.ab.logs import experiment, write
from tests.analysis.page.html import HOSTILE, Parser
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_store
from tests.recsys.opened import search_of

WORDS = {"headline": "Wait", "reason": "too few listeners"}
Damage = Callable[[Path], object]


def _write(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def _table(folder: Path) -> None:
    table = pa.table({"trial": ["a"], "model": ["nothing"]})
    pq.write_table(table, folder / "leaderboard.parquet")


def _link(name: str, target: str) -> Damage:
    def link(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return link


def _pipe(name: str) -> Damage:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


DAMAGES: dict[str, Damage] = {
    "a winner that is cut": _write("winner.json", b"{"),
    "a winner without a trial": _write("winner.json", orjson.dumps(seal({}))),
    "a configuration that is no YAML": _write("config.yaml", b"{"),
    "a configuration elsewhere": _link("config.yaml", "/etc/passwd"),
    "a ledger that is a pipe": _pipe("ledger.jsonl"),
    "a leaderboard that is no Parquet": _write("leaderboard.parquet", b"PAR1"),
    "a leaderboard of something else": _table,
    "a page that is a device": _link("report.html", "/dev/zero"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and an A/B report, and twice as many for damage."""
    folder = tmp_path_factory.mktemp("lab")
    root = folder / "root"
    config = SearchConfig(
        store=random_store(folder, listeners=40, tracks=60, sessions=300),
        run=root / "good",
        models={"als": {"factors": [2, 4], "alpha": 1.0}},
        search={"iterations": 2},
        export={"publish_anyway": True},
        validation={"ks": [5, 30]},
    )
    with without_processes():
        search_of(config)
    (root / "good-report").mkdir()
    report = {"experiment": "ALS", "words": WORDS}
    (root / "good-report" / "report.json").write_bytes(orjson.dumps(report))
    (root / "good-report" / "report.html").write_text("<p>read")
    return root


@pytest.fixture
def lab(root: Path, tmp_path: Path) -> FlaskClient:
    shutil.copytree(root, tmp_path / "root")
    for name in ("good", "good-report"):
        shutil.copytree(root / name, tmp_path / "root" / name.replace("good", "bad"))
    service = ServiceClient("http://127.0.0.1:1")
    return create_app(tmp_path / "root", service).test_client()


def read_rows(lab: FlaskClient) -> dict[str, str]:
    """Read the text of each row of the overview by what it is about."""
    page = lab.get("/")
    assert page.status_code == 200
    rows = Parser(page.get_data(as_text=True)).root.find("li")
    return {name.text: row.text for row in rows for name in row.find("a")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_a_row_that_says_so(
    lab: FlaskClient, tmp_path: Path, damage: str
) -> None:
    before = read_rows(lab)
    assert "finished" in before["good"]
    assert "finished" in before["bad"]
    DAMAGES[damage](tmp_path / "root" / "bad")
    after = read_rows(lab)
    assert "finished" not in after.pop("bad")
    assert after.items() <= before.items()
    answer = lab.get("/reports/bad")
    assert answer.status_code in (200, 409)
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"experiment": "x"}', b"\xff", b'{"words": []}']
)
def test_a_damaged_report_is_a_row_that_says_so(
    lab: FlaskClient, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "root" / "bad-report" / "report.json").write_bytes(content)
    rows = read_rows(lab)
    assert "too few listeners" in rows["good-report"]
    assert "bad-report: damaged" in rows["bad-report"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "../../outside.html"])
@pytest.mark.parametrize("name", ["bad-report", "bad"])
def test_a_page_elsewhere_is_not_shown(
    lab: FlaskClient, tmp_path: Path, name: str, target: str
) -> None:
    (tmp_path / "outside.html").write_text("root: secret")
    _link("report.html", target)(tmp_path / "root" / name)
    answer = lab.get(f"/reports/{name}")
    assert answer.status_code == 409
    assert b"root:" not in answer.data


@pytest.mark.parametrize("name", ["%2e%2e/%2e%2e/etc/passwd", HOSTILE])
def test_what_is_not_below_the_root_is_not_shown(lab: FlaskClient, name: str) -> None:
    answer = lab.get(f"/reports/{name}", follow_redirects=True)
    assert answer.status_code in (400, 404)
    assert not Parser(answer.get_data(as_text=True)).root.find("img")


def test_a_name_that_is_not_utf_8_is_a_row_of_its_own(
    lab: FlaskClient, tmp_path: Path
) -> None:
    name = os.fsdecode(os.fsencode(tmp_path / "root") + b"/b\xffd")
    (tmp_path / "root" / "bad").rename(name)
    rows = read_rows(lab)
    assert "finished" in rows["good"]
    assert rows["b\\xffd"].startswith("b\\xffd")
    assert lab.get("/reports/b\\xffd").status_code in (200, 409)


def test_a_search_under_way_shows_what_is_scored_so_far(
    lab: FlaskClient, tmp_path: Path
) -> None:
    folder = tmp_path / "root" / "bad"
    for name in ("winner.json", "leaderboard.parquet"):
        (folder / name).unlink()
    page = Parser(lab.get("/reports/bad").text).root
    assert "2 candidates have a score so far" in page.text
    (table,) = page.find("table", id="trials")
    assert len(table.find("tr")) == 1 + 2 + 3  # with baselines
    os.utime(folder / LOCK, (0, 0))
    assert "was interrupted" in lab.get("/reports/bad").text


def test_a_run_says_how_to_publish_it_and_the_command_does_so(
    lab: FlaskClient, tmp_path: Path
) -> None:
    write_report(str(tmp_path / "root" / "good"))
    page = Parser(lab.get("/reports/good").text).root
    texts = [code.text for code in page.find("code")]
    (command,) = [text for text in texts if " export --run " in text]
    words = shlex.split(command.replace("FOLDER", str(tmp_path / "published")))
    with without_processes():
        assert main(words[1:]) == 0
    assert (tmp_path / "published/current/recommendations.jsonl").exists()


class Service(ServiceClient):
    """A service with one experiment."""

    def ask(self, *_: object) -> dict[str, Any]:
        names = ("C", "T1")
        arms = [{"name": n, "share": 0.5, "recommender": "indexed"} for n in names]
        experiment = {"name": "ALS", "decides": True, "arms": arms}
        facts = {"version": "one", "created_at": "2026", "refused": None}
        return facts | {"experiments": [experiment]}


def test_the_live_experiment_shows_what_is_logged_so_far(
    root: Path, tmp_path: Path
) -> None:
    log = write(tmp_path / "log" / "events-1.jsonl", experiment())
    lab = create_app(root, Service("http://127.0.0.1:1"), log.parent).test_client()
    page = Parser(lab.get("/live").text).root
    assert page.find("span", id="events")[0].text == f"{len(experiment()):,}"
    assert "ALS, C: indexed, 50 % of the listeners" in page.text
    assert "T1" in page.find("figure")[0].text


def test_another_site_cannot_frame_read_or_post_to_the_lab(lab: FlaskClient) -> None:
    assert lab.get("/", headers={"Host": "evil.example"}).status_code == 403
    for path in (
        "/",
        "/reports/good",
        "/reports/good-report",
        "/reports/nothing",
        "/live",
    ):
        headers = lab.get(path).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert lab.post(path).status_code == 405
    policy = lab.get("/reports/good-report").headers
    assert policy["Content-Security-Policy"].startswith("sandbox; ")
