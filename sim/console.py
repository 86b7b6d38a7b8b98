"""A person recommends: finds tracks by artist and title, and sees how much of each is heard."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from looplib.arrays import IntArray
from looplib.config import Config
from sim.listening.draws import FIRST_TRACK, START, SessionDraws
from sim.listening.sessions import ListeningModel, Sessions, make_model, scale_starts
from sim.tally import Outcome, Tally
from sim.worlds.files import load_world, track_texts

MOST_FOUND = 10
HELP = "words: search by artist and title; 1, 2…: play what was found; #12: play track 12; q: quit"
_REACTIONS_SHOWN = 5


class ConsoleConfig(Config):
    """Whose listeners come, and how many sessions."""

    world: Path = Path("out/demo/world")
    recommender: Literal["console"] = "console"
    episodes: int = Field(default=1, ge=1, description="sessions")
    seed: int = Field(default=0, ge=0)


class QuitError(Exception):
    """The person has had enough."""


@dataclass
class Terminal:
    """Where the person is.

    Attributes:
        ask: Shows a prompt and returns what was typed; raises EOFError at its end.
        say: Shows a line.
    """

    ask: Callable[[str], str]
    say: Callable[[str], None]


def play_console(config: ConsoleConfig, terminal: Terminal) -> Outcome:
    """Plays sessions, as `--recommender remote` opens them for the same seed, and says what they came to.

    Raises:
        WorldError: The world cannot be used.
    """
    model = make_model(load_world(config.world))
    person = Person(track_texts(config.world), terminal)
    tally = Tally.empty(model.world.listeners)
    terminal.say(HELP)
    for number in range(config.episodes):
        try:
            _play_session(model, number, config, person, tally)
        except (QuitError, EOFError):
            break
    outcome = tally.outcome()
    means = f", {outcome.tracks.mean:.2f} tracks and {outcome.time.mean:.2f} listening time each"
    terminal.say(f"{outcome.sessions} whole sessions{means if outcome.sessions else ''}")
    return outcome


class Person:
    """Turns what is typed into tracks."""

    def __init__(self, texts: list[str], terminal: Terminal) -> None:
        """Someone at a terminal who can play any of these tracks."""
        self._texts, self._folded = texts, [text.casefold() for text in texts]
        self._terminal, self._found = terminal, list[int]()

    def choose(self) -> int:
        """A track, however often it takes to find one.

        Raises:
            QuitError: The person typed q.
            EOFError: Nothing can be typed any more.
        """
        while True:
            typed = self._terminal.ask("recommend> ").strip()
            if typed.casefold() == "q":
                raise QuitError
            track = self._track_named(typed)
            if track is not None:
                return track

    def say(self, line: str) -> None:
        """Shows a line."""
        self._terminal.say(line)

    def show(self, tracks: IntArray, hundredths: IntArray) -> None:
        """Shows the last reactions."""
        reactions = list(zip(tracks.tolist(), hundredths.tolist(), strict=True))
        for track, heard in reactions[-_REACTIONS_SHOWN:]:
            self.say(f"  heard {heard / 100:.2f}  {self._texts[track]}  #{track}")

    def _track_named(self, typed: str) -> int | None:
        """The track that is meant by a number; otherwise searches, or says what is wrong."""
        number = typed.removeprefix("#")
        if number.isdecimal() and number.isascii():
            limit = len(self._texts) if typed.startswith("#") else len(self._found)
            first = 0 if typed.startswith("#") else 1
            if first <= int(number) < limit + first:
                return int(number) if typed.startswith("#") else self._found[int(number) - 1]
            self.say(f"{typed} is none of {limit:,}, counted from {first}")
        elif typed:
            self._search(typed)
        else:
            self.say(HELP)
        return None

    def _search(self, typed: str) -> None:
        words = typed.casefold().split()
        found = [track for track, text in enumerate(self._folded) if all(word in text for word in words)]
        self._found = found[:MOST_FOUND]
        for place, track in enumerate(self._found, start=1):
            self.say(f"{place:3}  {self._texts[track]}  #{track}")
        hidden = len(found) - len(self._found)
        self.say(f"and {hidden:,} more" if hidden else "" if found else "nothing found")


def _play_session(model: ListeningModel, number: int, config: ConsoleConfig, person: Person, tally: Tally) -> None:
    draws, numbers, row = SessionDraws(config.seed), np.array([number]), np.zeros(1, dtype=np.int64)
    sessions = Sessions.none(model, 1)
    listener = draws.listeners(numbers, model.world.listeners)
    sessions.start(row, scale_starts(model, listener, draws.of(numbers, 0)[START]))
    person.say(f"session {number + 1} of {config.episodes}: listener {listener[0]}, who chose")
    while len(sessions.under_way()):
        person.show(sessions.played(0), sessions.heard_of(0))
        uniform = draws.at(numbers, FIRST_TRACK + int(sessions.length[0]) - 1)
        sessions.hear(row, np.array([person.choose()]), uniform)
    person.show(sessions.played(0), sessions.heard_of(0))
    heard = sessions.heard_of(0)
    person.say(f"the listener leaves: {len(heard)} tracks, listening time {heard.sum() / 100:.2f}")
    tally.add_sessions(listener, sessions.length, heard.sum(keepdims=True))
