"""Configuration of a run against a service."""

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl

from looplib.config import Config, Count


class RemoteConfig(Config):
    """A run against a service: which listeners, and how many requests at a time."""

    world: Path = Field(
        default=Path("out/demo/world"),
        description="its tracks are the service's catalogue",
    )
    recommender: Literal["remote"] = "remote"  # a service answers
    episodes: Count = Field(description="number of sessions")
    seed: int = Field(default=0, ge=0)  # decides what listeners do
    url: HttpUrl = Field(
        default=HttpUrl("http://localhost:5001"), description="address of the service"
    )
    concurrency: int = Field(
        default=16, ge=1, le=10_000, description="requests at a time"
    )
    batch: int = Field(
        default=100, ge=1, le=100_000, description="sessions in a request"
    )
    summary: Path | None = Field(
        default=None, description="file for means and counts in JSON"
    )
