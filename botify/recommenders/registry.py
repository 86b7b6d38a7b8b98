"""All recommenders by name: add a new one to `RECOMMENDERS`. Where one has no track, fallbacks are asked in order."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from botify.model.model import CONTEXT, FACTORS, FOLDING, LISTS, NEIGHBOURS, Model
from botify.recommenders.base import EXHAUSTED, IS_UNKNOWN, Batch, Drawn, Recommender, Row
from botify.recommenders.context import session_context
from botify.recommenders.lists import in_order, indexed, random, sticky_artist, top_pop
from botify.recommenders.session import contextual, fold_in, session_als
from looplib.config import Config

RECOMMENDERS: Mapping[str, Recommender] = {
    "random": random,
    "sticky_artist": sticky_artist,
    "top_pop": top_pop,
    "indexed": indexed,
    "in_order": in_order,
    "contextual": contextual,
    "session_als": session_als,
    "fold_in": fold_in,
    "session_context": session_context,
}
# Parts of an export that a recommender reads; beside the lists, the others are not loaded.
READS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("top_pop", "indexed", "in_order"), frozenset({LISTS})),
    "contextual": frozenset({NEIGHBOURS, FACTORS}),
    "session_als": frozenset({LISTS, FACTORS}),
    "fold_in": frozenset({FOLDING}),
    "session_context": frozenset({CONTEXT}),
}
REPEAT = "repeat"


def _check_name(name: str) -> str:
    if name not in RECOMMENDERS:
        raise ValueError(f"no such recommender; allowed: {', '.join(RECOMMENDERS)}")
    return name


RecommenderName = Annotated[str, AfterValidator(_check_name)]


class FallbackSettings(Config):
    """Recommenders to ask, in this order, where the arm's own has no track; after them any track not yet heard."""

    exhausted: tuple[RecommenderName, ...] = ("sticky_artist",)  # all it would recommend was heard in this session
    unknown: tuple[RecommenderName, ...] = ("fold_in", "top_pop")  # it knows nothing of this listener or track


def recommend(
    model: Model, batch: Batch, names: Sequence[str], fallback: FallbackSettings, rng: np.random.Generator
) -> list[tuple[str, Drawn]]:
    """Recommend a track to each row, by the recommender named for it.

    Where that has no track, the fallbacks are asked; any track not yet heard is the last resort.

    Returns:
        The recommender that had a track, after fallbacks, and the track, for each row.
    """
    different = sorted(set(names))  # the same draws from the same seed
    if len(different) == 1:
        drawn = RECOMMENDERS[names[0]](model, batch, rng)
    else:
        drawn = [IS_UNKNOWN] * len(batch)
        for name in different:
            positions = [i for i, wanted in enumerate(names) if wanted == name]
            for i, found in zip(positions, RECOMMENDERS[name](model, [batch[i] for i in positions], rng), strict=True):
                drawn[i] = found
    return [
        (name, found) if found.track >= 0 else _fall_back(model, row, found, fallback, rng)
        for name, found, row in zip(names, drawn, batch, strict=True)
    ]


def _fall_back(
    model: Model, row: Row, missing: Drawn, fallback: FallbackSettings, rng: np.random.Generator
) -> tuple[str, Drawn]:
    chain = fallback.exhausted if missing.track == EXHAUSTED else fallback.unknown
    for name in (*chain, "random"):
        (drawn,) = RECOMMENDERS[name](model, [row], rng)
        if drawn.track >= 0:
            return name, drawn
    # The whole catalogue was heard in this session: a repeat is all there is.
    total = len(model.catalogue)
    return REPEAT, Drawn(int(rng.random() * total), 1.0 / total)
