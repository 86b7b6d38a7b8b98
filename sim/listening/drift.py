"""What changes from day to day: who comes back, and which tracks are hyped. Both are off unless configured.

A listener comes on a day with the probability

    bored + (delighted - bored) * satisfaction

where satisfaction is the mean share heard of the recommended tracks of the listener's last whole session; whoever had
none so far comes. So a recommender that bores loses listeners, and an experiment over several days can see it.

On each day some tracks are hyped: everybody finds them closer to all interests than they are, by `lift` on the scale of
the inner product that the listening model compares with `consume_bias`.
"""

from dataclasses import replace

import numpy as np
from pydantic import Field

from looplib.arrays import BoolArray, FloatArray
from looplib.config import Config
from looplib.randomness import make_generator
from sim.listening.sessions import ListeningModel
from sim.worlds.config import Share


class ReturnsConfig(Config):
    """How likely listeners are to come back."""

    bored: Share = Field(default=0.5, description="probability after a session in which nothing was heard")
    delighted: Share = Field(default=1.0, description="probability after one in which all was heard to the end")


class HypeConfig(Config):
    """Tracks of the day."""

    tracks: int = Field(default=50, ge=1, description="how many; others each day")
    lift: float = Field(default=2.0, description="what is added to track . interest")


def draw_present(config: ReturnsConfig, satisfaction: FloatArray, seed: int, day: int) -> BoolArray:
    """Who comes on a day.

    Args:
        config: How likely it is.
        satisfaction: (listeners,) 0 to 1; NaN for those who had no session so far.
        seed: What the draws follow from, together with the day.
        day: Its number.
    """
    probability = config.bored + (config.delighted - config.bored) * np.nan_to_num(satisfaction)
    uniform = make_generator(seed, "returns", day).random(len(satisfaction))
    present: BoolArray = (uniform < probability) | np.isnan(satisfaction)
    return present


def hyped(config: HypeConfig, model: ListeningModel, seed: int, day: int) -> ListeningModel:
    """The model of a day, on which tracks drawn from (seed, day) are hyped."""
    tracks = model.world.tracks
    lift = np.zeros(tracks)
    lift[make_generator(seed, "hype", day).choice(tracks, size=min(config.tracks, tracks), replace=False)] = config.lift
    return replace(model, lift=lift)
