"""Recommendations by a person, who finds tracks by artist and title and sees how much of each is heard."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from looplib.config import Config, Count
from sim.listening.draws import SessionDraws
from sim.listening.sessions import Sessions, make_model
from sim.worlds.files import TRACKS_FILE, TrackRecord, load_world, read_records

HELP = "words: search by artist and title; 1, 2…: play what was found; #12: play track 12; q: quit"
_MOST_FOUND = 10
_REACTIONS_SHOWN = 5
_ROW = np.zeros(1, dtype=np.int64)  # of the only session


class ConsoleConfig(Config):
    """World and number of sessions."""

    world: Path = Path("out/demo/world")
    recommender: Literal["console"] = "console"
    episodes: Count = Field(default=1, description="sessions")
    seed: int = Field(default=0, ge=0)


def play_console(
    config: ConsoleConfig, ask: Callable[[str], str], say: Callable[[str], None]
) -> None:
    """Play sessions, as `--recommender remote` opens them for the same seed, and show their means.

    `ask` shows a prompt and returns what was typed, or raises EOFError at the end of the input;
    `say` shows a line.
    """
    model = make_model(load_world(config.world))
    records = [
        record for _, record in read_records(config.world / TRACKS_FILE, TrackRecord)
    ]
    person = Person(
        [f"{record.artist} - {record.title or 'untitled'}" for record in records],
        ask,
        say,
    )
    say(HELP)
    lengths, times = [], []
    draws, sessions = SessionDraws(config.seed, model), Sessions.none(model, 1)
    try:
        for number in (np.array([number]) for number in range(config.episodes)):
            sessions.start(_ROW, draws.starts(number))
            say(
                f"session {number[0] + 1} of {config.episodes}: listener {sessions.listener[0]}, who chose"
            )
            person.show(sessions)
            while len(sessions.under_way()):
                sessions.hear(
                    _ROW,
                    np.array([person.choose()]),
                    draws.boredom(number, sessions.length),
                )
                person.show(sessions)
            lengths.append(int(sessions.length[0]))
            times.append(int(sessions.total_hundredths(_ROW)[0]) / 100)
            say(
                f"the listener leaves: {lengths[-1]} tracks, listening time {times[-1]:.2f}"
            )
    except EOFError:
        pass
    means = (
        f", {np.mean(lengths):.2f} tracks and {np.mean(times):.2f} listening time each"
        if lengths
        else ""
    )
    say(f"{len(lengths)} whole sessions{means}")


class Person:
    """Turns what is typed into tracks."""

    def __init__(
        self, texts: list[str], ask: Callable[[str], str], say: Callable[[str], None]
    ) -> None:
        """Let somebody at a terminal play any of these tracks."""
        self._texts, self._ask, self._say, self._found = texts, ask, say, list[int]()

    def choose(self) -> int:
        """Return a track, however often it takes to find one; raises EOFError at q or the end of the input."""
        while True:
            typed = self._ask("recommend> ").strip()
            if typed.casefold() == "q":
                raise EOFError
            number = typed.removeprefix("#")
            if number.isdecimal() and number.isascii():
                first, tracks = (
                    (0, range(len(self._texts)))
                    if typed.startswith("#")
                    else (1, self._found)
                )
                if first <= int(number) < len(tracks) + first:
                    return tracks[int(number) - first]
                self._say(f"{typed} is none of {len(tracks):,}, counted from {first}")
            elif typed:
                self._search(typed.casefold().split())
            else:
                self._say(HELP)

    def show(self, sessions: Sessions) -> None:
        """Show the last reactions of the only session."""
        reactions = list(
            zip(sessions.played(0).tolist(), sessions.heard_of(0).tolist(), strict=True)
        )
        for track, heard in reactions[-_REACTIONS_SHOWN:]:
            self._say(f"  heard {heard / 100:.2f}  {self._texts[track]}  #{track}")

    def _search(self, words: list[str]) -> None:
        found = [
            track
            for track, text in enumerate(self._texts)
            if all(word in text.casefold() for word in words)
        ]
        self._found = found[:_MOST_FOUND]
        for position, track in enumerate(self._found, start=1):
            self._say(f"{position:3}  {self._texts[track]}  #{track}")
        hidden = len(found) - len(self._found)
        self._say(
            f"and {hidden:,} more" if hidden else "" if found else "nothing found"
        )
