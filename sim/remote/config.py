"""Configuration of a run against a service."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, HttpUrl

from looplib.config import Config, Count


class RemoteConfig(Config):
    """Which listeners, which service, and how many requests at a time."""

    gone: ClassVar[Mapping[str, str]] = {
        "days": "run it again with another seed for another day",
        "processes": "one process drives a service; --batch 500 is many times faster",
        **dict.fromkeys(("timeout_s", "patience_s"), "it is 10 seconds"),
    }

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
        default=0,
        ge=0,
        le=100_000,
        description="sessions in a request; 0: one, as the original has it",
    )
    summary: Path | None = Field(
        default=None, description="file for means and counts in JSON"
    )
