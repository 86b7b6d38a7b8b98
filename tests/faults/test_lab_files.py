"""A lab over damaged and hostile files: the others are shown, nothing outside its root is."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from listening_loop.client import ServiceClient
from listening_loop.lab.app import LabSettings, create_app
from looplib.checksums import seal
from recsys.config import Search, SearchConfig, ValidationConfig
from tests.analysis.page.html import Parser
from tests.recsys.in_process import without_processes
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of

LOCAL = {"Host": "localhost"}
VERDICT = {
    "experiment": "ALS",
    "verdict": {"decision": "wait", "arm": None, "reason": "too few listeners"},
}
Damage = Callable[[Path], object]


def _table(folder: Path) -> None:
    pq.write_table(
        pa.table({"trial": ["a"], "model": ["nothing"]}), folder / "leaderboard.parquet"
    )


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
    "a winner that is cut": lambda folder: (folder / "winner.json").write_text("{"),
    "a winner without a trial": lambda folder: (folder / "winner.json").write_bytes(
        orjson.dumps(seal({}))
    ),
    "an endless winner": _link("winner.json", "/dev/zero"),
    "a configuration that is no YAML": lambda folder: (
        folder / "config.yaml"
    ).write_text("{"),
    "a configuration of bytes": lambda folder: (folder / "config.yaml").write_bytes(
        b"\xff\xfe"
    ),
    "a configuration elsewhere": _link("config.yaml", "/etc/passwd"),
    "a configuration that is a pipe": _pipe("config.yaml"),
    "a ledger elsewhere": _link("ledger.jsonl", "/etc/passwd"),
    "a ledger that is a pipe": _pipe("ledger.jsonl"),
    "a leaderboard that is no Parquet": lambda folder: (
        folder / "leaderboard.parquet"
    ).write_bytes(b"PAR1"),
    "a leaderboard of something else": _table,
    "a page that is a device": _link("report.html", "/dev/zero"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and an A/B report, and twice as many for damage."""
    folder = tmp_path_factory.mktemp("lab")
    store = make_store(
        folder, random_sessions(5, listeners=40, tracks=60, sessions=300)
    )
    config = SearchConfig(
        store=str(store),
        run=str(folder / "root" / "good"),
        models={"als": {"factors": (2, 4), "alpha": (1.0,)}},
        search=Search(iterations=2),
        validation=ValidationConfig(ks=(5, 30), resamples=100),
    )
    with without_processes():
        search_of(config)
    (folder / "root" / "good-report").mkdir()
    (folder / "root" / "good-report" / "report.json").write_bytes(orjson.dumps(VERDICT))
    (folder / "root" / "good-report" / "report.html").write_text("<p>read")
    return folder / "root"


@pytest.fixture
def lab(root: Path, tmp_path: Path) -> FlaskClient:
    shutil.copytree(root, tmp_path / "root")
    for name in ("good", "good-report"):
        shutil.copytree(root / name, tmp_path / "root" / name.replace("good", "bad"))
    settings = LabSettings(tmp_path / "root", ServiceClient("http://127.0.0.1:1"))
    return create_app(settings).test_client()


def rows(lab: FlaskClient) -> dict[str, str]:
    """The text of each row of the overview by what it is about."""
    page = lab.get("/", headers=LOCAL)
    assert page.status_code == 200
    found = Parser(page.get_data(as_text=True)).root.find("tr")
    return {name.text: row.text for row in found for name in row.find("a")}


def test_whole_runs_and_reports_are_shown(lab: FlaskClient) -> None:
    found = rows(lab)
    assert "finished" in found["good"]
    assert "too few listeners" in found["good-report"]
    assert found["good"].removeprefix("good") == found["bad"].removeprefix("bad")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_a_row_that_says_so(
    lab: FlaskClient, tmp_path: Path, damage: str
) -> None:
    before = rows(lab)
    DAMAGES[damage](tmp_path / "root" / "bad")
    found = rows(lab)
    assert found["bad"].startswith("bad")
    assert "finished" not in found["bad"]
    assert {name: row for name, row in found.items() if name != "bad"} == {
        name: row for name, row in before.items() if name != "bad"
    }
    answer = lab.get("/runs/bad", headers=LOCAL)
    assert answer.status_code in (200, 409)
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"experiment": "x"}', b"\xff", b'{"verdict": []}']
)
def test_a_damaged_report_is_a_row_that_says_so(
    lab: FlaskClient, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "root" / "bad-report" / "report.json").write_bytes(content)
    found = rows(lab)
    assert "too few listeners" in found["good-report"]
    assert "bad-report: damaged" in found["bad-report"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "../../outside.html"])
@pytest.mark.parametrize("path", ["reports/bad-report", "reports/bad"])
def test_a_page_elsewhere_is_not_shown(
    lab: FlaskClient, tmp_path: Path, path: str, target: str
) -> None:
    (tmp_path / "outside.html").write_text("root: secret")
    _link("report.html", target)(tmp_path / "root" / path.partition("/")[2])
    answer = lab.get(f"/{path}", headers=LOCAL)
    assert answer.status_code == 409
    assert b"root:" not in answer.data


def test_a_name_that_is_not_utf_8_is_a_row_of_its_own(
    lab: FlaskClient, tmp_path: Path
) -> None:
    (tmp_path / "root" / "bad").rename(
        os.fsdecode(os.fsencode(tmp_path / "root") + b"/b\xffd")
    )
    found = rows(lab)
    assert "finished" in found["good"]
    assert found["b\\xffd"].startswith("b\\xffd")
    assert lab.get("/runs/b\\xffd", headers=LOCAL).status_code in (200, 409)


def test_every_answer_forbids_frames_and_guesses(lab: FlaskClient) -> None:
    for path in ("", "runs/good", "reports/good-report", "runs/nothing", "live"):
        headers = lab.get(f"/{path}", headers=LOCAL).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
