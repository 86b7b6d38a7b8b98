"""The configuration of the loop."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from looplib.config import Config, Count, Share


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
