"""Configuration of a run against a service."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import HttpUrl

from looplib.config import Config, Count


class RemoteConfig(Config):
    """A run against a service: which listeners, and how many requests at a time."""

    world: Path = Path("out/demo/world")
    """its tracks are the service's catalogue"""
    recommender: Literal["remote"] = "remote"
    """a service answers"""
    episodes: Count
    """number of sessions"""
    seed: Annotated[int, Ge(0)] = 0
    """decides what listeners do"""
    url: HttpUrl = HttpUrl("http://localhost:5001")
    """address of the service"""
    concurrency: Annotated[Count, Le(10_000)] = 16
    """requests at a time"""
    batch: Annotated[Count, Le(100_000)] = 100
    """sessions in a request"""
    summary: Path | None = None
    """file for means and counts in JSON"""
