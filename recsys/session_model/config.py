"""The configuration of the session model."""

from typing import ClassVar

from pydantic import Field

from looplib.config import Config, Count


class SessionModelConfig(Config):
    """The session model that the export adds for the recommender `session_model`."""

    gone: ClassVar = {
        "catalogue": "the artists are those of the search's catalogue",
        **dict.fromkeys(
            ("sweeps", "rough_sweeps", "coarse_sweeps", "distance", "coarse_distance"),
            "it is the same for all data",
        ),
    }

    factors: Count = Field(
        default=40, description="the most factors of interests and tracks"
    )
