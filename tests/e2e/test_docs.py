"""Run every command of README and docs/ as a reader would: the quick start, then each page."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from distributed import LocalCluster

from analysis.ab.config import AbConfig
from analysis.ab.listeners import check_metrics
from analysis.logs.lines import parse_line
from analysis.plays.query import PlaysQuery
from analysis.views import open_views
from listening_loop.sql import answer
from tests.botify.redis_server import shared_server
from tests.e2e.analyst import make_example
from tests.e2e.pages import PAGES, ROOT, blocks_of
from tests.e2e.reader import RUN_BY_ANOTHER_TEST, Reader, bring
from tests.programs import need

# Measurements at full size, made by hand like every benchmark.
MEASURED = {
    "homework.md",
    "scale.md",
}
PAGES_TO_RUN = [
    page
    for page in PAGES
    if page.name not in {"quickstart.md", *MEASURED, *RUN_BY_ANOTHER_TEST}
    and any(b.language in {"bash", "python"} for b in blocks_of(page))
]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with LocalCluster(1, 1, dashboard_address=":0") as cluster:  # type: ignore[no-untyped-call]  # Dask has no types
        yield str(cluster.scheduler_address)


@pytest.fixture(scope="module")
def reader(folder: Path, scheduler: str) -> Reader:
    """A reader who has run the quick start, on whose files the other pages begin."""
    need("curl")
    reader = Reader(folder, shared_server(), scheduler)
    reader.read(ROOT / "docs" / "quickstart.md")
    bring(reader.folder)
    return reader


@pytest.mark.dask
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, reader: Reader) -> None:
    reader.read(page)


@pytest.mark.slow
def test_questions_in_sql_have_the_answers_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_example(tmp_path)
    questions = 0
    with open_views(["report", "run", "published"]) as connection:
        for question, shown in pairwise(blocks_of(ROOT / "docs" / "sql.md")):
            if question.language == "sql":
                assert len(question.text.splitlines()) <= 5, question.position
                capsys.readouterr()
                answer(connection, question.text, as_csv=True)
                rows = capsys.readouterr().out.splitlines()
                assert rows == shown.text.splitlines(), question.position
                questions += 1
    assert questions == 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_checked_kind(page: Path, tmp_path: Path) -> None:  # noqa: C901  one case a kind
    for block in blocks_of(page):
        match block.language:
            case "bash" | "sh":
                assert block.commands, block.position
            case "json":
                for line in block.text.splitlines():
                    parse_line(line.encode())
            case "python" | "py":  # the latter needs more than this project
                ast.parse(block.text)
            case "sql" if " AS listener," in block.text:
                assert PlaysQuery(block.text).reader, block.position
            case "sql" if block.page != "sql.md":
                (tmp_path / "metric.sql").write_text(block.text)
                metrics = {"shown": str(tmp_path / "metric.sql")}
                config = {"metrics": metrics, "secondary": ["shown"]}
                check_metrics(AbConfig.model_validate(config))
            case (
                "sql"
                | "js"
                | "toml"
                | "{toctree}"
                | "{eval-rst}"
                | "{settings}"
                | "{command}"
                | "{metrics}"
            ):
                pass  # the site is built from them, and no test has a browser's script
            case "yaml":
                yaml.safe_load(block.text)
            case "text":
                assert "──▶" in block.text or block.before.rstrip().endswith(":"), (
                    f"{block.position}: what is this?"
                )
            case language:
                pytest.fail(f"{block.position}: nothing checks {language}")
