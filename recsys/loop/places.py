"""Where everything of a loop is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where everything of a loop is."""

    folder: Path

    @property
    def world(self) -> Path:
        """The world's folder."""
        return self.folder / "world"

    @property
    def catalogue(self) -> Path:
        """The world's tracks."""
        return self.world / "tracks.json"

    @property
    def collected(self) -> Path:
        """The log of the first collection."""
        return self.folder / "log"

    @property
    def store(self) -> Path:
        """The session store."""
        return self.folder / "store"

    @property
    def published(self) -> Path:
        """What the service loads."""
        return self.folder / "published"

    @property
    def recommendations(self) -> Path:
        """The newest lists."""
        return self.published / "current" / "recommendations.jsonl"

    def day(self, number: int) -> "Day":
        """A day's folder."""
        return Day(number, self.folder / "days" / str(number))


@dataclass(frozen=True)
class Day:
    """Where a day's things are; `number` runs from 1."""

    number: int
    folder: Path

    @property
    def run(self) -> Path:
        """The search's run folder."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """What the service logged."""
        return self.folder / "log"

    @property
    def traffic(self) -> Path:
        """What the listeners' side counted; there when the day's traffic is done."""
        return self.folder / "traffic.json"

    @property
    def begun_traffic(self) -> Path:
        """The same, while the service may still have some of the log open."""
        return self.folder / "traffic-begun.json"

    @property
    def foretold(self) -> Path:
        """What the lists were estimated to be worth, beside what the experiment measured."""
        return self.folder / "foretold.json"

    @property
    def training_lists(self) -> Path:
        """The winner's lists without the held-out sessions, on which they can be valued."""
        return self.folder / "training"

    @property
    def report(self) -> Path:
        """The A/B report's folder."""
        return self.folder / "report"
