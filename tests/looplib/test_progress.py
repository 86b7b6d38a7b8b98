import pytest

from looplib.progress import progress


def test_a_log_gets_plain_lines_with_what_is_done_and_the_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("Trials", 4, "done") as report:
        report(1, "best 0.1")
        report(2)  # within the interval: not shown
        report(4, "best 0.3")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "Trials: 1/4 done",
        "Trials: 4/4 done",
    ]
    assert "left" not in lines[0]  # too early to say
    assert lines[1].endswith("best 0.3")
    assert "left" not in lines[1]


def test_the_time_left_follows_from_this_run_s_own_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("looplib.progress.time.monotonic", lambda: next(clock))
    with progress("Trials", 100, "sweeps", before=80) as report:
        report(90)
    assert capsys.readouterr().err == "Trials: 90/100 sweeps, 10 s, 10 s left\n"
