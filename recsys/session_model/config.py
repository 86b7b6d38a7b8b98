"""The configuration of the session model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Gt, Le
from pydantic import Field

from looplib.config import Config, Count

Distance = Annotated[float, Gt(0), Le(2)]  # 1 - cosine


class SessionModelConfig(Config):
    """The session model that the export adds for the recommender `session_model`."""

    gone: ClassVar[Mapping[str, str]] = {
        "resolution": "shares may be as fine as you like",
        "coarse_factors": "the coarse fit has as many as the others",
    }

    catalogue: Path | None = Field(
        default=None,
        description="tracks.json, to learn how artists wear out and what their tracks share",
    )
    factors: Count = Field(
        default=40, description="the most factors of interests and tracks"
    )
    sweeps: Count = Field(default=8, description="sweeps over the final interests")
    rough_sweeps: Count = Field(
        default=4, description="sweeps over the first guess of interests"
    )
    distance: Distance = Field(
        default=0.75,
        description="organic tracks of one interest are at most so far apart",
    )
    coarse_sweeps: Count = Field(
        default=4, description="sweeps of the fit that guesses interests"
    )
    coarse_distance: Distance = Field(
        default=0.5, description="its largest distance within an interest"
    )
