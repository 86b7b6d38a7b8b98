import pytest

from looplib.progress import progress


def test_a_log_gets_plain_lines_with_what_is_done_and_the_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("Trials", 4, "done") as report:
        report(1, "best 0.1")
        report(4, "best 0.3")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Trials: 4/4 done, 0 s, best 0.3")


def test_a_log_gets_the_line_again_while_nothing_is_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("looplib.progress.PLAIN_INTERVAL_S", 0.01)
    seen = ""
    with progress("Trials", 4, "done") as report:
        report(1, "best 0.1")
        while seen.count("Trials: 1/4 done") < 2:
            seen += capsys.readouterr().err
