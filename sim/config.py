"""Configuration of sessions that listeners of a world have."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Le
from pydantic import HttpUrl, NonNegativeInt

from looplib.config import Config, Count


class SimulateConfig(Config):
    """Sessions of a world's listeners: how many, and who recommends."""

    world: Path = Path("out/demo/world")
    """folder of the world; a service has its tracks as the catalogue"""
    recommender: Literal["random", "remote"] = "random"
    """random draws, or remote: a service answers"""
    episodes: Count
    """number of sessions"""
    seed: NonNegativeInt = 0
    """decides all randomness"""
    log: Path = Path("out/demo/log")
    """random: folder of the log, which must be new"""
    segment_sessions: Count = 20_000
    """random: sessions a file of the log, simulated side by side"""
    url: HttpUrl = HttpUrl("http://localhost:5001")
    """remote: address of the service"""
    concurrency: Annotated[Count, Le(10_000)] = 16
    """remote: requests at a time"""
    batch: Annotated[Count, Le(100_000)] = 100
    """remote: sessions in a request"""
    summary: Path | None = None
    """remote: file for means and counts in JSON"""
