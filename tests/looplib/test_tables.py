"""Tables on a pseudo-terminal of 80 columns: what is needed is there whole, nothing is wider."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from analysis.ab import words
from recsys.search.scorer import SEGMENTS
from tests.analysis.ab.samples import make_report

COLUMNS = 80
LONG = "an-arm-whose-name-is-quite-long"
# what the commands print, by the functions that print it
SCRIPT = f"""
from analysis.ab.__main__ import print_report
from looplib.tables import output, table
from recsys.search.leaderboard import print_rows
from tests.analysis.ab.samples import make_report

print_report(make_report(("C", "T1", {LONG!r})))
rows = [
    {{
        "rank": rank, "trial": str(rank), "model": "als", "state": "pruned", "why": "worse",
        "stopped_at": 3, "iteration": 3, "fit_s": 1.5, "ties": True,
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
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    hidden = {"COLUMNS", "LINES", "NO_COLOR"}
    environment = {key: os.environ[key] for key in os.environ.keys() - hidden}
    environment |= {"TERM": "xterm", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=child, stderr=child, env=environment
    )
    os.close(child)
    found = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(parent)
    assert process.wait(60) == 0, found.decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", found.decode()).splitlines()


def test_at_80_columns_nothing_is_cut() -> None:
    lines = run_in_terminal(SCRIPT)
    text = "\n".join(lines)
    tables = [line for line in lines if not line.startswith(("  - ", "sample"))]
    cells = [line for line in tables if re.search(r"\S {2,}\S", line)]
    assert cells
    assert max(map(len, cells)) <= COLUMNS
    report = make_report(("C", "T1", LONG))
    shown = [
        found
        for found in report.evidence.effects
        if found.role in {"primary", "guardrail"}
    ]
    for effect in shown:
        assert effect.metric in text
        assert words.change_with_range(effect) in text
    assert "als factors 256, reg 0.004, unobserved 0.04" in text
    assert text.count("0.1000 … 0.3000") == 4
    assert "The same in all: als alpha" in " ".join(text.split())
