"""Configuration of sessions that listeners of a world have."""

from pathlib import Path
from typing import Annotated

from annotated_types import Le
from pydantic import HttpUrl, NonNegativeInt

from looplib.config import Config, Count


class SimulateConfig(Config):
    """Sessions of a world's listeners: how many, and who recommends."""

    world: Path = Path("out/demo/world")
    """folder of the world; a service has its tracks as the catalogue"""
    episodes: Count
    """number of sessions"""
    seed: NonNegativeInt = 0
    """decides all randomness"""
    log: Path = Path("out/demo/log")
    """folder of the log of random tracks, which must be new"""
    url: HttpUrl | None = None
    """address of a service that recommends; without it, tracks are random"""
    batch: Annotated[Count, Le(100_000)] = 100
    """sessions in a request"""
