"""A person at a scripted terminal."""

from pathlib import Path

import pytest

from sim.console import ConsoleConfig, play_console
from sim.run import main
from tests.sim.worlds import write_world


def _play(tmp_path: Path, *typed: str, episodes: int = 1) -> list[str]:
    """What is shown when this is typed, and then nothing any more."""
    lines: list[str] = []
    answers = iter(typed)

    def ask(prompt: str) -> str:
        lines.append(prompt)
        answer = next(answers, None)
        if answer is None:
            raise EOFError
        return answer

    world = (
        write_world(tmp_path / "world")
        if not (tmp_path / "world").exists()
        else tmp_path / "world"
    )
    play_console(
        ConsoleConfig(world=world, episodes=episodes, seed=3), ask, lines.append
    )
    return lines


def test_tracks_are_found_by_artist_and_title_and_played_by_place(
    tmp_path: Path,
) -> None:
    lines = _play(tmp_path, "ARTIST 3", "title 7 artist", "1")
    assert "  1  artist 3 - title 3  #3" in lines
    assert "  3  artist 3 - title 11  #11" in lines
    assert any(
        line.startswith("  heard") and line.endswith("artist 3 - title 7  #7")
        for line in lines
    )


def test_a_track_is_played_by_its_number(tmp_path: Path) -> None:
    lines = _play(tmp_path, "#5")
    assert lines[1].startswith("session 1 of 1: listener ")
    assert lines[2].startswith("  heard 1.00  artist ")
    assert [line.split("  ")[2:] for line in lines if line.startswith("  heard")][
        -1
    ] == ["artist 1 - title 5", "#5"]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("nobody", "nothing found"),
        ("#12", "#12 is none of 12, counted from 0"),
        ("4", "4 is none of 0, counted from 1"),
        ("artist", "and 2 more"),
        ("", "words: search by artist and title"),
    ],
)
def test_what_plays_nothing_is_answered(
    tmp_path: Path, typed: str, answer: str
) -> None:
    lines = _play(tmp_path, typed)
    asked = lines.index("recommend> ")
    assert any(line.startswith(answer) for line in lines[asked:])
    assert not any("heard 0" in line for line in lines)


def test_sessions_go_to_their_ends_and_are_summed_up(tmp_path: Path) -> None:
    lines = _play(tmp_path, *["#1"] * 100, episodes=2)
    ends = [line for line in lines if line.startswith("the listener leaves: ")]
    assert len(ends) == 2
    assert lines[-1].startswith("2 whole sessions, ")
    assert lines == _play(tmp_path, *["#1"] * 100, episodes=2)


def test_q_ends_it(tmp_path: Path) -> None:
    assert _play(tmp_path, "#1", "q", "#2")[-1] == "0 whole sessions"


def test_the_command_reads_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = write_world(tmp_path / "world")
    answers = iter(["title 3", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert (
        main(["--recommender", "console", "--world", str(world), "--episodes", "2"])
        == 0
    )
    out = capsys.readouterr().out
    assert "  1  artist 3 - title 3  #3" in out
    assert out.endswith("0 whole sessions\n")
