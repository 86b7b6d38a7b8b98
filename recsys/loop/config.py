"""The configuration of the loop, and where its files are."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from looplib.config import Config, Count, Share
from recsys.export.export import RECOMMENDATIONS
from recsys.runs.folder import WINNER


class Traffic(Config):
    """A day's listeners."""

    episodes: Count = Field(default=20_000, description="sessions a day")
    batch: Annotated[int, Ge(0)] = Field(default=500, description="sessions in one request; 0: one request a track")
    concurrency: Count = Field(default=4, description="requests in flight at once")
    seed: Annotated[int, Ge(0)] = 1337
    most_lost: Share = Field(default=0.05, description="the day fails where a larger share of the sessions was lost")


class LoopConfig(Config):
    """A loop: the configurations of its parts, and the folder that takes everything."""

    folder: Path
    world: Path = Field(description="configuration of the world")
    collect: Path = Field(description="configuration of the first collection")
    search: Path = Field(description="configuration of the search")
    service: Path = Field(description="configuration of the service")
    report: Path = Field(description="configuration of the A/B report")
    experiment: str = Field(description="the service's experiment that decides, and is reported on")
    traffic: Traffic = Traffic()
    days: Count = 1
    port: Annotated[int, Ge(0)] = Field(default=0, description="of the service; 0 takes a free one")


class Paths:
    """The paths of a loop; `recsys.loop` says what the folders hold."""

    def __init__(self, folder: Path) -> None:
        """Derive the paths from the loop's folder."""
        self.folder = folder
        self.config = folder / "loop.yaml"
        self.outcome = folder / "loop.json"  # all days' outcomes
        self.world = folder / "world"
        self.catalogue = self.world / "tracks.json"
        self.collected = folder / "log"  # of the first collection
        self.store = folder / "store"
        self.published = folder / "published"
        self.recommendations = self.published / "current" / RECOMMENDATIONS  # the newest lists


class DayPaths:
    """The paths of a day, whose number runs from 1."""

    def __init__(self, paths: Paths, number: int) -> None:
        """Derive the paths from the loop's and the day's number."""
        self.number = number
        self.folder = paths.folder / "days" / str(number)
        self.run = self.folder / "run"
        self.winner = self.run / WINNER  # there when the search has one
        self.log = self.folder / "log"
        # What the listeners' side counted, first while the service may still have some of the log open
        self.unfinished_traffic = self.folder / "traffic-unfinished.json"
        self.traffic = self.folder / "traffic.json"
        self.report = self.folder / "report"
        self.report_json = self.report / "report.json"
        self.training = self.folder / "training"  # lists of the winner, learned without the held-out sessions
        self.predictions = self.folder / "predictions.json"
