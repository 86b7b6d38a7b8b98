"""The configuration of the next-track model."""

from pydantic import Field

from looplib.config import Config, Count


class NextTrackConfig(Config):
    """The next-track model that the export adds for the recommender `next_track`."""

    window: Count = Field(
        default=20, description="tracks of a session at most so far apart are close"
    )
    neighbours: Count = Field(
        default=100, description="near tracks kept of each track and listener"
    )
