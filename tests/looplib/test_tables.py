"""Tables on a terminal of 80 columns: all figures are whole, and nothing is wider."""

import re

import pytest

from analysis.ab import words
from analysis.ab.__main__ import print_report
from looplib.tables import output
from recsys.search.evaluation import SEGMENTS
from recsys.search.leaderboard import print_rows
from tests.analysis.ab.samples import make_report

COLUMNS = 80
LONG = "an-arm-whose-name-is-quite-long"
ROWS = [
    {
        "rank": rank,
        "trial": str(rank),
        "model": "als",
        "state": "pruned",
        "why": "worse",
        "stopped_at": 3,
        "iteration": 3,
        "fit_s": 1.5,
        "ties": True,
        "pool": "new",
        "settings": [
            f"factors {64 * rank}",
            f"reg {rank / 1000}",
            f"unobserved {rank / 100}",
            "alpha 1.0",
        ],
        "ndcg@30": 0.2,
        "ndcg@30 lower": 0.1,
        "ndcg@30 upper": 0.3,
        "behind lower": -0.1,
        "behind upper": 0.1,
        **{f"{segment}_ndcg@30": 0.1 for segment in SEGMENTS},
    }
    for rank in range(1, 5)
]


def test_at_80_columns_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # rich sees a terminal
    for name, value in (("TTY_COMPATIBLE", "1"), ("NO_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    report = make_report(("C", "T1", LONG))
    print_report(report)
    output().print(print_rows(ROWS, "ndcg@30"))
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = text.splitlines()
    tables = [line for line in lines if not line.startswith(("  - ", "sample"))]
    cells = [line for line in tables if re.search(r"\S {2,}\S", line)]
    assert cells
    assert max(map(len, cells)) <= COLUMNS
    for effect in report.evidence.effects:
        if effect.role in {"primary", "guardrail"}:
            assert effect.metric in text
            assert words.change_with_range(effect) in text
    assert "als factors 256, reg 0.004, unobserved 0.04" in text
    assert text.count("0.1000 … 0.3000") == 4
    assert "The same in all: als alpha" in " ".join(text.split())
