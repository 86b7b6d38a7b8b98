"""The configuration of the loop, and where its files are."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from looplib.config import Config, Count, Share
from recsys.export.export import RECOMMENDATIONS
from recsys.runs.folder import REPORT, WINNER


class Traffic(Config):
    """A day's listeners."""

    episodes: Count = Field(default=20_000, description="sessions a day")
    batch: Annotated[int, Ge(0)] = Field(
        default=500, description="sessions in one request; 0: one request a track"
    )
    concurrency: Count = Field(default=4, description="requests in flight at once")
    seed: Annotated[int, Ge(0)] = 1337  # of the listeners; each day adds its number
    most_lost: Share = Field(
        default=0.05,
        description="the day fails where a larger share of the sessions was lost",
    )


class LoopConfig(Config):
    """A loop: the configurations of its parts, and the folder that takes everything."""

    folder: Path  # takes all that the loop makes
    world: Path = Field(description="configuration of the world")
    collect: Path = Field(description="configuration of the first collection")
    search: Path = Field(description="configuration of the search")
    service: Path = Field(description="configuration of the service")
    report: Path = Field(description="configuration of the A/B report")
    experiment: str = Field(
        description="the service's experiment that decides, and is reported on"
    )
    traffic: Traffic = Traffic()
    days: Count = 1  # each learns from the logs of all before
    port: Annotated[int, Ge(0)] = Field(
        default=0, description="of the service; 0 takes a free one"
    )


class Paths:
    """The paths of a loop, and of one of its days, whose number runs from 1; `recsys.loop` says what they hold."""

    def __init__(self, folder: Path, day: int = 1) -> None:
        """Derive the paths from the loop's folder and the day's number."""
        self.config = folder / "loop.yaml"
        self.outcome = folder / "loop.json"
        self.world = folder / "world"
        self.catalogue = self.world / "tracks.json"
        self.collected = folder / "log"
        self.store = folder / "store"
        self.published = folder / "published"
        self.recommendations = (
            self.published / "current" / RECOMMENDATIONS
        )  # the newest lists
        self.service = (
            folder / "service"
        )  # log of a service that is started after the loop

        self.number, self.day = day, folder / "days" / str(day)
        self.earlier = [
            folder / "days" / str(number) / "log" for number in range(1, day)
        ]  # logs
        self.run = self.day / "run"
        self.winner = self.run / WINNER
        self.search_page = self.run / REPORT
        self.log = self.day / "log"
        # What the listeners' side counted, first while the service may still have some of the log
        # open
        self.unfinished_traffic = self.day / "traffic-unfinished.json"
        self.traffic = self.day / "traffic.json"
        self.report = self.day / "report"
        self.report_json = self.report / "report.json"
        self.report_page = self.report / REPORT
        # lists of the winner, learned without the held-out sessions
        self.training = self.day / "training"
        self.predictions = self.day / "predictions.json"
