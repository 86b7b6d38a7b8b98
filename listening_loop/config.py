"""The configuration of the loop."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from listening_loop.errors import LoopError
from looplib.config import Config, Count, dump_config, load_config
from looplib.files import atomic_write_text


class Traffic(Config):
    """A day's listeners."""

    episodes: Count = Field(default=20_000, description="sessions a day")
    batch: Annotated[int, Ge(0)] = Field(
        default=500, description="sessions in one request; 0: one request a track"
    )
    concurrency: Count = Field(default=4, description="requests in flight at once")
    seed: Annotated[int, Ge(0)] = 1337  # of the listeners; each day adds its number


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


def keep_config(config: LoopConfig) -> None:
    """Write the configuration; refuse one that differs from the folder's in more than the days."""
    file = config.folder / "loop.yaml"
    if file.exists():
        before = load_config(LoopConfig, file)
        keys = sorted(LoopConfig.model_fields.keys() - {"days"})
        changed = [key for key in keys if getattr(config, key) != getattr(before, key)]
        if changed:
            began = f"this loop began with another {', '.join(changed)}"
            raise LoopError(f"{file}: {began}; name another folder")
    atomic_write_text(file, dump_config(config))
