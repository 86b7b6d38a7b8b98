"""Configuration of a fitted world."""

from pydantic import Field

from looplib.config import Config, Count, Share
from sim.worlds.config import DEFAULT_GAMMA, DEFAULT_SESSION_BUDGET, PositiveSpan, ResponseConfig, Span


class FitConfig(Config):
    """What the data do not say of a world.

    Biases and sharpnesses are drawn as in generated worlds. Then all biases are moved by one number, and the embeddings
    lengthened by another, until random recommendations and the tracks near an interest are heard as is wanted here.
    """

    seed: int = Field(default=0, ge=0)
    gamma: Share = Field(default=DEFAULT_GAMMA, description="factor on the share for each earlier track of the artist")
    interests: Count = Field(default=500, description="most tracks of a listener, heard most, that open sessions")
    consume_bias: Span = Span(low=1.0, high=5.9)
    consume_sharpness: PositiveSpan = PositiveSpan(low=0.3, high=1.2)
    session_budget: Count = DEFAULT_SESSION_BUDGET
    random_listening: float = Field(
        default=2.12, gt=1, le=100, description="listening time a session with random tracks"
    )
    near_share: float = Field(default=0.7, gt=0, lt=1, description="mean share heard of tracks near an interest")
    sessions: Count = Field(default=100, description="opening tracks a listener, to compare with the data")
    response: ResponseConfig = ResponseConfig(organic_neighbours=1)  # a session opens with what was heard
