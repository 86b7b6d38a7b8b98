"""What a search refuses or warns of before its first fit, and what it does not publish."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from analysis import power
from analysis.ab import __main__ as ab
from analysis.tables.columns import Reading, parse_columns
from looplib.cli import run
from looplib.progress import console
from recsys.config import ExportConfig
from recsys.errors import SearchError
from recsys.export.export import export_run
from recsys.ingest.pipeline import ingest
from recsys.search import __main__ as search
from recsys.search.folder import read_run
from recsys.workspace import open_workspace
from tests.recsys.commands import error_line

QUICK = (
    "models: {als: {factors: 4}}\nsearch: {iterations: 2}\n"
    "validation: {resamples: 100, min_time: 0.4}\n"
    "cluster: {workers: 1}\n"
)
pytestmark = pytest.mark.usefixtures("no_processes")


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of interactions of listeners without any taste, whose weights span five orders of
    magnitude."""
    folder = tmp_path_factory.mktemp("plays")
    generator = np.random.default_rng(1)
    users, items = generator.integers(30, size=900), generator.zipf(1.6, size=900) % 60
    weights = 10.0 ** generator.integers(0, 6, size=900)
    lines = [
        f"u{user},t{item},{weight:g}"
        for user, item, weight in zip(users, items, weights, strict=True)
    ]
    (folder / "plays.csv").write_text("user,item,weight\n" + "\n".join(lines) + "\n")
    reading = Reading(parse_columns("user=user,item=item,weight=weight"))
    ingest([folder / "plays.csv"], folder / "store", reading)
    return folder / "store"


def write_config(folder: Path, store: Path, text: str = QUICK) -> list[str]:
    (folder / "search.yaml").write_text(
        f"store: {store}\nrun: {folder / 'run'}\n{text}"
    )
    return ["--config", str(folder / "search.yaml")]


def test_what_a_later_step_cannot_do_is_refused_before_the_first_fit(
    plays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"track": 1, "artist": "a", "title": "t"}\n')
    argv = [*write_config(tmp_path, plays), "--set", f"catalogue={other}"]
    assert run(search.app, search.PROG, argv) == 2
    line = error_line(capsys)
    assert "names 0 of the" in line
    assert "leave it out: --set" in line
    assert not (tmp_path / "run" / "ledger.jsonl").exists()


@pytest.mark.parametrize("command", [ab, power])
def test_commands_that_need_event_logs_refuse_interactions_in_one_line(
    plays: Path, command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {ab: ["--experiment", "X"], power: ["--effect", "5%"]}[command]
    assert run(command.app, command.PROG, [str(plays), *words]) == 2
    assert (
        "holds interactions, which have no sessions and arms; event logs are needed"
        in capsys.readouterr().err
    )


def test_a_model_no_better_than_popular_is_published_on_demand_alone(
    plays: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(console, "print", lambda text, **_: shown.append(str(text)))
    argv = [*write_config(tmp_path, plays), "--set", "export.filter_seen=true"]
    assert run(search.app, search.PROG, argv) == 2
    captured = capsys.readouterr()
    assert (
        "no better" in captured.err
        or "not significantly better than every baseline" in captured.err
    )
    assert "report.html" in captured.out
    assert not (tmp_path / "run" / "export").exists()
    run_folder = tmp_path / "run"
    winner = read_run(open_workspace(run_folder))[1]
    assert winner.beats_baselines is False
    assert any(
        "only export.publish_anyway: true publishes it" in warning
        for warning in winner.warnings
    )
    with pytest.raises(SearchError, match=r"--set export\.publish_anyway=true"):
        export_run(run_folder, tmp_path / "out", ExportConfig())
    assert (
        run(search.app, search.PROG, [*argv, "--set", "export.publish_anyway=true"])
        == 0
    )
    assert (run_folder / "export" / "current" / "recommendations.jsonl").exists()
    assert any(
        "validation.filter_seen is false and export.filter_seen true" in text
        for text in shown
    )
