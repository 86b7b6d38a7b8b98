"""What a run against a service is configured with."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from looplib.config import Config
from sim.listening.drift import HypeConfig, ReturnsConfig

LANES_ONE_BY_ONE, LANES_OF_BATCHES = 64, 4


class RemoteConfig(Config):
    """Which listeners, which service, and how many requests at a time."""

    world: Path = Field(default=Path("out/demo/world"), description="its tracks are the service's catalogue")
    recommender: Literal["remote"] = "remote"
    episodes: int = Field(ge=1, description="sessions, of each day")
    days: int = Field(default=1, ge=1, description="one after the other")
    seed: int = Field(default=0, ge=0)
    url: str = "http://localhost:5001"
    concurrency: int | None = Field(default=None, ge=1, le=10_000, description="requests at a time, of each process")
    batch: int = Field(default=0, ge=0, le=100_000, description="sessions in a request; 0: one, as the original has it")
    processes: int = Field(default=1, ge=1, le=512, description="the listeners behave alike for any number")
    timeout_s: float = Field(default=10.0, gt=0, description="after which an answer counts as lost")
    patience_s: float = Field(default=10.0, ge=0, description="how long a request that was not done is tried again")
    returns: ReturnsConfig | None = Field(default=None, description="who comes back the next day; all if not given")
    hype: HypeConfig | None = Field(default=None, description="tracks of the day; none if not given")
    summary: Path | None = Field(default=None, description="file for the figures in JSON")

    @property
    def lanes(self) -> int:
        """Requests at a time, of each process."""
        return self.concurrency or (LANES_OF_BATCHES if self.batch else LANES_ONE_BY_ONE)
