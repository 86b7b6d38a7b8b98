"""Heads of metrics' files."""

from pathlib import Path

import pytest

from analysis.ab.metrics import read_metrics
from looplib.cli import importing


def test_a_typo_in_the_head_of_a_built_in_metric_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plays.sql").write_text("-- lable: plays\nSELECT 1\n")
    with pytest.raises(SystemExit, match="2"), importing():
        read_metrics(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"error: {tmp_path}/plays.sql: lable: unknown key; the nearest"
    )
