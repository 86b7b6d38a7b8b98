"""Rows that an ingest rejects."""

from pathlib import Path

import pytest

from listening_loop.command import main


def test_many_rejected_rows_are_counted_by_reason_and_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = [f"{'lots' if row % 10 == 0 else ''}{row % 3}" for row in range(300)]
    rows = [f"u{row % 7},t{row},{weight}" for row, weight in enumerate(weights)]
    file, store = tmp_path / "bad.csv", str(tmp_path / "store")
    file.write_text("\n".join(["user,item,weight", *rows]))
    columns = "user=user,item=item,weight=weight"
    words = ["ingest", str(file), "--store", store, "--columns", columns]
    assert main(words) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    count = lines.index("        30  weight … is no number")
    assert "bad.csv:2: weight lots0 is no number" in lines[count + 1]
    assert "10.0% of the lines are rejected, above 5%" in captured.err
    assert main([*words, "--allow-rejects"]) == 0
