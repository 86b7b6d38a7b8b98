"""Effects in groups of listeners: adjusted over all of them, and for questions alone."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import listening_loop as ll
from analysis.ab.page import render
from analysis.errors import AnalysisError
from analysis.statistics.multiplicity import benjamini_hochberg
from listening_loop.command import main
from tests.analysis.ab.logs import experiment, write
from tests.analysis.page.html import Parser

SETTINGS: dict[str, Any] = {"min_days": 1, "min_listeners": 20}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [f"{n},{'DE' if n % 4 < 2 else 'FR'},{n % 150}" for n in range(110)]
    text = "\n".join(["listener,country,street", *rows])
    (tmp_path / "listeners.csv").write_text(text)
    return write(tmp_path / "a.jsonl", experiment(120, effect=0.2))


def test_a_segment_has_the_effects_of_a_report_on_its_listeners_alone(
    log: Path, tmp_path: Path
) -> None:
    listeners = tmp_path / "listeners.csv"
    report = ll.ab(log, "ALS", by="country", listeners=listeners, **SETTINGS)
    effects = report.report.evidence.segments
    # ten listeners are in no group, which is too small
    assert {row.segment for row in effects} == {"country=DE", "country=FR"}
    assert report.report.evidence.segment_count == 3
    german = [
        e for e in experiment(120, effect=0.2) if e["user"] % 4 < 2 and e["user"] < 110
    ]
    alone = ll.ab(write(tmp_path / "de.jsonl", german), "ALS", **SETTINGS)
    by_metric = {row.metric: row for row in alone.report.evidence.effects}
    for row in effects:
        if row.segment == "country=DE":
            assert row.arm_value == pytest.approx(by_metric[row.metric].arm_value)
            assert row.absolute.value == pytest.approx(
                by_metric[row.metric].absolute.value
            )
    adjusted = benjamini_hochberg([row.p_value for row in effects])
    assert [row.adjusted_p_value for row in effects] == adjusted
    without = ll.ab(log, "ALS", **SETTINGS)
    assert without.verdict == report.verdict


def test_a_query_brings_groups_and_the_page_and_the_terminal_show_them(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = tmp_path / "listeners.sql"
    query.write_text(f"FROM read_csv('{tmp_path}/listeners.csv')")
    arguments = ["ab", str(log), "--experiment", "ALS", "--by", "country"]
    settings = ["--set", "min_listeners=20", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--listeners", str(query), *settings]) == 0
    text = capsys.readouterr().out
    assert "country=FR" in text
    assert "Segments are for questions, not for decisions: 2 of 3 groups" in text
    page = Parser((tmp_path / "out" / "report.html").read_text()).root
    assert "country=DE" in page.find("details", id="segments")[0].text
    assert main([*arguments, *settings]) == 2
    assert "--listeners FILE need each other" in capsys.readouterr().err


def test_a_table_has_the_groups_in_a_column() -> None:
    frame = pd.DataFrame(
        {
            "arm": ["C", "T1"] * 300,
            "plan": ["free", "free", "paid", "paid", None, None] * 100,
            "minutes": [n % 7 + n % 2 * (n % 6 < 2) for n in range(600)],
        }
    )
    report = ll.ab(frame, metrics="minutes", by="plan", min_listeners=50)
    segments = {row.segment: row for row in report.report.evidence.segments}
    assert [*segments] == ["plan=free", "plan=paid", "plan=unknown"]
    free = frame[frame["plan"] == "free"].groupby("arm")["minutes"].mean()
    assert segments["plan=free"].arm_value == pytest.approx(free["T1"])
    shown = report.sql("SELECT DISTINCT segment FROM effects ORDER BY segment")
    assert shown.fetchall() == [("",), *((name,) for name in segments)]
    assert "Segments" not in render(ll.ab(frame, metrics="minutes").report)


@pytest.mark.parametrize(
    ("by", "added", "words"),
    [
        (
            "country",
            "7,FR,1\n7,DE,2",
            "a listener is in DE and in FR; a single country",
        ),
        ("street", "", "110 groups, at most 100 are allowed"),
        ("planet", "", '"planet" not found'),
    ],
)
def test_groups_that_cannot_be_are_refused(
    log: Path, tmp_path: Path, by: str, added: str, words: str
) -> None:
    file = tmp_path / "listeners.csv"
    file.write_text(f"{file.read_text()}\n{added}\n")
    with pytest.raises(AnalysisError, match=words):
        ll.ab(log, "ALS", by=by, listeners=file, **SETTINGS)
