"""What a world is made from: the sections of `configs/world/*.yaml`."""

from typing import Annotated, Literal, Self

from annotated_types import Ge, Le
from pydantic import NonNegativeInt, model_validator

from looplib.config import Config, Count, Positive, Share

FEWEST_INTERESTS, MOST_INTERESTS = 2, 4  # of a listener


class CatalogueConfig(Config):
    """Artists in genres, tracks around their artists.

    A track's embedding is genre centre + the artist's deviation + the track's deviation. The shares
    say how much of its expected squared length comes from each; the track has what is left of 1.
    """

    tracks: Annotated[int, Ge(MOST_INTERESTS), Le(10_000_000)]
    """how many"""
    artists: Count
    """how many"""
    genres: Count
    """how many"""
    dimensions: Annotated[Count, Le(4096)]
    """of the embeddings"""
    squared_length: Positive
    """expected squared length of a track's embedding"""
    genre_share: Share
    """share of the squared length that comes from the genre"""
    artist_share: Share
    """share that comes from the artist; the rest is the track's own"""
    length_spread: Annotated[float, Ge(0), Le(2)]
    """sigma of the log of an artist's lengths"""
    common: Annotated[float, Ge(0), Le(100)]
    """length of what all tracks have in common, on axis 1"""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.artists > self.tracks:
            raise ValueError(
                f"artists ({self.artists}) cannot be more than tracks ({self.tracks})"
            )
        shares = self.genre_share + self.artist_share
        if shares > 1:
            raise ValueError(f"genre_share + artist_share is {shares:.3g}, above 1")
        return self


class ResponseConfig(Config):
    """What a listener does beyond the original course service's formula; nothing by default.

    `sim.listening.response` has the formula.
    """

    tiredness: Share = 0.0
    """share of the listening lost with each recommended track before"""
    idiosyncrasy: Annotated[float, Ge(0), Le(100)] = 0.0
    """sigma of each pair's own part of the logit"""
    organic_metric: Literal["euclidean", "inner_product"] = "euclidean"
    """what makes tracks near to an interest; ten of them can open a session"""
    repeats: Share = 0.0
    """share of sessions opened by the first interest's nearest track"""


class WorldConfig(Config):
    """A whole world."""

    seed: NonNegativeInt
    """of all randomness"""
    listeners: Annotated[Count, Le(100_000_000)]
    """how many"""
    catalogue: CatalogueConfig
    response: ResponseConfig = ResponseConfig()
