"""Configuration of a fitted world."""

from typing import Self

from pydantic import Field, model_validator

from looplib.config import Config, Count, Share
from sim.worlds.config import (
    DEFAULT_GAMMA,
    DEFAULT_INTEREST_NEIGHBOURS,
    DEFAULT_SESSION_BUDGET,
    PositiveSpan,
    Span,
    check_interests,
)


class FitConfig(Config):
    """What the data do not say of a world.

    Biases and sharpnesses are drawn as in generated worlds. Then all biases are moved by one number, and the embeddings
    lengthened by another, until random recommendations and the tracks near an interest are heard as is wanted here.
    """

    seed: int = Field(default=0, ge=0)
    gamma: Share = Field(default=DEFAULT_GAMMA, description="factor on the share for each earlier track of the artist")
    interests_low: Count = Field(default=2, description="least interests of a listener who has heard as many tracks")
    interests_high: Count = Field(default=6, description="most interests of a listener")
    interest_gain: Share = Field(default=0.04, description="share of the weights that a further interest must add")
    interest_neighbours: Count = Field(default=DEFAULT_INTEREST_NEIGHBOURS, description="organic ones around one")
    consume_bias: Span = Span(low=1.0, high=5.9)
    consume_sharpness: PositiveSpan = PositiveSpan(low=0.3, high=1.2)
    session_budget: Count = DEFAULT_SESSION_BUDGET
    random_listening: float = Field(
        default=2.12, gt=1, le=100, description="listening time a session with random tracks"
    )
    near_share: float = Field(default=0.7, gt=0, lt=1, description="mean share heard of tracks near an interest")
    sessions: Count = Field(default=30, description="simulated sessions a listener, to compare with the data")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_interests(self.interests_low, self.interests_high)
        return self
