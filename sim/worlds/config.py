"""The settings of a world, `configs/world/*.yaml`, and the constants of each kind."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import Ge, Le
from pydantic import NonNegativeInt, model_validator

from looplib.config import Config, Count

FEWEST_INTERESTS, MOST_INTERESTS = 2, 4  # interests of a listener


@dataclass(frozen=True)
class Nature:
    """How tracks lie among each other, and how listeners respond to them.

    A track's embedding is genre centre + the artist's deviation + the track's deviation. The shares
    say how much of its expected squared length comes from each; the track has the rest.
    `sim.listening.response` has the formula of the response. Its last four numbers are by
    default the original course service's.
    """

    # expected squared length of a track's embedding, on the scale of listeners' biases, 0 to 10
    squared_length: float = 13.0
    genre_share: float = 0.6  # share of the squared length
    artist_share: float = 0.3  # share of the squared length
    # sigma of the log of an artist's lengths: some interests please more than others
    length_spread: float = 0.15
    # length of the part that all tracks share, on axis 1: a random product is not 0 on average
    common: float = 0.45
    tiredness: float = (
        0.0  # share of the listening lost with each recommended track before
    )
    # sigma, on the logit, of a listener's own taste for a track
    idiosyncrasy: float = 0.0
    # whether the ten tracks that can open a session have the largest inner product with the
    # interest, in place of the least Euclidean distance
    opens_by_product: bool = False
    repeats: float = (
        0.0  # share of sessions opened by the first interest's nearest track
    )


ORIGINAL = Nature()  # listeners of the original course service's files
NATURES = {
    "demo": Nature(tiredness=0.02, idiosyncrasy=0.5, repeats=0.6),
    # the full-size world
    "seed": Nature(common=0.35, tiredness=0.02, idiosyncrasy=0.5, repeats=0.6),
    # close to the logs of the original course service (`docs/homework.md`)
    "course": Nature(11.5, 0.45, 0.35, 0.25, 0.4, opens_by_product=True),
}


class WorldConfig(Config):
    """A world: genres, artists in them, their tracks, and listeners."""

    seed: NonNegativeInt
    """of all randomness"""
    listeners: Annotated[Count, Le(100_000_000)]
    """how many"""
    tracks: Annotated[int, Ge(MOST_INTERESTS), Le(10_000_000)]
    """how many"""
    artists: Count
    """how many"""
    genres: Count
    """how many"""
    dimensions: Annotated[Count, Le(4096)]
    """of the embeddings"""
    like: Literal["demo", "seed", "course"] = "demo"
    """the world whose constants it has, such as listeners' tiredness (`sim/worlds/config.py`)"""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.artists > self.tracks:
            raise ValueError(
                f"artists ({self.artists}) cannot be more than tracks ({self.tracks})"
            )
        return self

    @property
    def nature(self) -> Nature:
        """The constants of the world."""
        return NATURES[self.like]
