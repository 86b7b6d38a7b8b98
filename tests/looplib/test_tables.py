"""Tables on a pseudo-terminal of 80 columns: all figures are whole, and nothing is wider."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from analysis.ab import words
from recsys.search.scorer import SEGMENTS
from tests.analysis.ab.samples import make_report
from tests.programs import need

COLUMNS = 80
LONG = "an-arm-whose-name-is-quite-long"
# the commands' tables, by the functions that print them
SCRIPT = f"""
from analysis.ab.__main__ import print_report
from looplib.tables import output, table
from recsys.search.leaderboard import print_rows
from tests.analysis.ab.samples import make_report

print_report(make_report(("C", "T1", {LONG!r})))
rows = [
    {{
        "rank": rank, "trial": str(rank), "model": "als", "state": "pruned", "why": "worse",
        "stopped_at": 3, "iteration": 3, "fit_s": 1.5, "ties": True, "pool": "new",
        "settings": [
            f"factors {{64 * rank}}", f"reg {{rank / 1000}}", f"unobserved {{rank / 100}}",
            "alpha 1.0",
        ],
        "ndcg@30": 0.2, "ndcg@30 lower": 0.1, "ndcg@30 upper": 0.3,
        "behind lower": -0.1, "behind upper": 0.1,
        **{{f"{{segment}}_ndcg@30": 0.1 for segment in {SEGMENTS!r}}},
    }}
    for rank in range(1, 5)
]
output().print(print_rows(rows, "ndcg@30"))
"""


def run_in_terminal(script: str) -> list[str]:
    """The lines that a script prints on a terminal, without colours."""
    hidden = {"COLUMNS", "LINES", "NO_COLOR"}
    environment = {key: os.environ[key] for key in os.environ.keys() - hidden}
    command = f"stty cols {COLUMNS}; exec {shlex.join([sys.executable, '-c', script])}"
    done = subprocess.run(
        [need("script"), "-qec", command, "/dev/null"],
        env={**environment, "TERM": "xterm", "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()


def test_at_80_columns_nothing_is_cut() -> None:
    lines = run_in_terminal(SCRIPT)
    text = "\n".join(lines)
    tables = [line for line in lines if not line.startswith(("  - ", "sample"))]
    cells = [line for line in tables if re.search(r"\S {2,}\S", line)]
    assert cells
    assert max(map(len, cells)) <= COLUMNS
    report = make_report(("C", "T1", LONG))
    for effect in report.evidence.effects:
        if effect.role in {"primary", "guardrail"}:
            assert effect.metric in text
            assert words.change_with_range(effect) in text
    assert "als factors 256, reg 0.004, unobserved 0.04" in text
    assert text.count("0.1000 … 0.3000") == 4
    assert "The same in all: als alpha" in " ".join(text.split())
