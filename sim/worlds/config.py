"""What a world is made from: the sections of `configs/world/*.yaml`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from looplib.config import Config, Count, Positive, Share

# The original service's defaults, for worlds whose files do not say.
DEFAULT_CONSUME_BIAS = 5.0
DEFAULT_CONSUME_SHARPNESS = 1.0
DEFAULT_SESSION_BUDGET = 5
DEFAULT_GAMMA = 0.8


class Span(Config):
    """A range of values, both ends included."""

    low: float  # least of what is drawn
    high: float  # most of what is drawn

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class PositiveSpan(Span):
    """A range of values above 0."""

    low: Positive  # least of what is drawn
    log: bool = Field(
        default=False,
        description="the logarithm is uniform, so that the median is the geometric mean",
    )


class CatalogueConfig(Config):
    """Artists in genres, tracks around their artists.

    A track's embedding is genre centre + the artist's deviation + the track's own deviation; the
    shares say how much of its expected squared length comes from each, the track's own share being
    what is left of 1.
    """

    tracks: int = Field(ge=1, le=10_000_000)  # how many
    artists: Count  # how many
    genres: Count  # how many
    dimensions: int = Field(ge=1, le=4096)  # of the embeddings
    squared_length: Positive = Field(
        description="expected squared length of a track's embedding"
    )
    axis_decay: float = Field(
        default=0.0,
        ge=0,
        description="axis j has a variance proportional to j ** -axis_decay",
    )
    genre_share: Share  # share of the squared length that comes from the genre
    artist_share: Share  # share that comes from the artist; the rest is the track's own
    length_spread: float = Field(
        default=0.0, ge=0, le=2, description="sigma of the log of an artist's lengths"
    )
    common: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="length of what all tracks have in common, on axis 1",
    )
    genre_spread: float = Field(
        ge=0,
        description="sigma of the log of a genre's weight: 0 makes all equally large",
    )
    mainstream: float = Field(
        default=0.0,
        ge=0,
        le=3,
        description="log of popularity for each sigma along axis 1",
    )
    popularity_spread: float = Field(
        ge=0, le=3, description="sigma of the rest of the log of a track's popularity"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.artists > self.tracks:
            raise ValueError(
                f"artists ({self.artists}) cannot be more than tracks ({self.tracks})"
            )
        if self.genre_share + self.artist_share > 1:
            raise ValueError(
                f"genre_share + artist_share is {self.genre_share + self.artist_share:.3g}, above 1"
            )
        return self


class ListenersConfig(Config):
    """Listeners: their interests, drawn by popularity, and how easily each is bored."""

    listeners: int = Field(ge=1, le=100_000_000)  # how many
    interests_low: Count = Field(description="least interests of a listener")
    interests_high: Count = Field(description="most interests of a listener")
    consume_bias: Span
    consume_sharpness: PositiveSpan
    # bored so many times, a listener leaves
    session_budget: Count = DEFAULT_SESSION_BUDGET

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.interests_low > self.interests_high:
            raise ValueError(
                f"interests_low {self.interests_low} is above interests_high {self.interests_high}"
            )
        return self


class ResponseConfig(Config):
    """What a listener does beyond the formula of `sim.listening.response`; by default nothing."""

    tiredness: Share = Field(
        default=0.0,
        description="share of the listening lost with each recommended track before",
    )
    idiosyncrasy: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="sigma of each pair's own part of the logit",
    )
    organic_neighbours: Count = Field(
        default=10, description="tracks around an interest that can open a session"
    )
    organic_metric: Literal["euclidean", "inner_product"] = Field(
        default="euclidean", description="what makes them near"
    )
    repeats: Share = Field(
        default=0.0,
        description="share of sessions opened by the first interest's nearest track",
    )


class WorldConfig(Config):
    """A whole world."""

    seed: int = Field(ge=0)  # of all randomness
    gamma: Share = Field(
        default=DEFAULT_GAMMA,
        description="factor on the share for each earlier track of the artist",
    )
    catalogue: CatalogueConfig
    listeners: ListenersConfig
    response: ResponseConfig = ResponseConfig()

    @model_validator(mode="after")
    def _has_interests_enough(self) -> Self:
        most, tracks = self.listeners.interests_high, self.catalogue.tracks
        if most > tracks:
            raise ValueError(f"interests_high ({most}) is above tracks ({tracks})")
        return self
