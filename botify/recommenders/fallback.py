"""Who is asked, and who is asked next where the first has no answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from botify.model.model import Model
from botify.recommenders.base import EXHAUSTED, IS_UNKNOWN, Batch, Drawn, Recommender
from botify.recommenders.context import session_context
from botify.recommenders.lists import in_order, indexed, random, sticky_artist, top_pop
from botify.recommenders.session import contextual, session_als
from botify.settings import FallbackSettings

RECOMMENDERS: Mapping[str, Recommender] = {
    "random": random,
    "sticky_artist": sticky_artist,
    "top_pop": top_pop,
    "indexed": indexed,
    "in_order": in_order,
    "contextual": contextual,
    "session_als": session_als,
    "session_context": session_context,
}
REPEAT = "repeat"


@dataclass(frozen=True)
class Chains:
    """Recommenders in the order in which they are asked, by why the one before had no answer."""

    exhausted: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, fallback: FallbackSettings) -> "Chains":
        """The chains of the configuration; any track not yet heard is the last resort."""
        return cls((*fallback.exhausted, "random"), (*fallback.unknown, "random"))


def recommend(
    model: Model, batch: Batch, names: Sequence[str], chains: Chains, rng: np.random.Generator
) -> list[tuple[str, Drawn]]:
    """A track for each row, and which recommender it is from.

    Args:
        model: What recommenders draw from.
        batch: Who asks.
        names: The recommender to be asked first, for each row.
        chains: Who is asked where that has no answer.
        rng: Generator of the draws.
    """
    return [
        (name, drawn) if drawn.track >= 0 else _fall_back(model, [row], drawn, chains, rng)
        for name, drawn, row in zip(names, _ask_first(model, batch, names, rng), batch, strict=True)
    ]


def _ask_first(model: Model, batch: Batch, names: Sequence[str], rng: np.random.Generator) -> list[Drawn]:
    different = set(names)
    if len(different) == 1:
        return RECOMMENDERS[names[0]](model, batch, rng)
    drawn: list[Drawn] = [IS_UNKNOWN] * len(batch)
    for name in sorted(different):  # the same draws from the same seed
        places = [i for i, asked in enumerate(names) if asked == name]
        some = RECOMMENDERS[name](model, [batch[i] for i in places], rng)
        for i, drawn_one in zip(places, some, strict=True):
            drawn[i] = drawn_one
    return drawn


def _fall_back(model: Model, row: Batch, missing: Drawn, chains: Chains, rng: np.random.Generator) -> tuple[str, Drawn]:
    for name in chains.exhausted if missing.track == EXHAUSTED else chains.unknown:
        (drawn,) = RECOMMENDERS[name](model, row, rng)
        if drawn.track >= 0:
            return name, drawn
    # The whole catalogue was heard in this session: a repeat is all there is.
    total = len(model.catalogue)
    return REPEAT, Drawn(int(rng.random() * total), 1.0 / total)
