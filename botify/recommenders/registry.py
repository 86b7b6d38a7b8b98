"""All recommenders by name: a new one, written like those of `lists`, stands in `RECOMMENDERS`.

Fallbacks are asked in order.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from botify.model.model import Model
from botify.recommenders.base import (
    EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    Recommender,
    Row,
)
from botify.recommenders.factors import contextual, fold_in, session_als
from botify.recommenders.interleaved import interleave, members
from botify.recommenders.lists import in_order, indexed, random, sticky_artist, top_pop
from botify.recommenders.session_model import session_model
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
    "session_model": session_model,
}
REPEAT = "repeat"


def parts_read(name: str) -> set[str]:
    """Return the parts of an export that a recommender reads, or both of an interleaved one."""
    asked = members(name) or (name,)
    return {part for member in asked for part in RECOMMENDERS[member].reads}


def _check_name(name: str) -> str:
    pair = members(name)
    if "session_context" in (pair or (name,)):
        raise ValueError("session_context was renamed to session_model; export again")
    if not RECOMMENDERS.keys() >= set(pair or (name,)) or (pair and pair[0] == pair[1]):
        known = ", ".join(RECOMMENDERS)
        raise ValueError(
            f"no such recommender; allowed: {known}, and interleaved(a, b) of two of these"
        )
    return name


def _check_plain(name: str) -> str:
    if members(name):
        raise ValueError("an arm's recommender may be interleaved, a fallback may not")
    return _check_name(name)


RecommenderName = Annotated[str, AfterValidator(_check_name)]
FallbackName = Annotated[str, AfterValidator(_check_plain)]


class FallbackSettings(Config):
    """Recommenders to ask, in this order, where the arm's own has no track.

    After them any track not yet heard.
    """

    # all it would recommend was heard in this session
    exhausted: tuple[FallbackName, ...] = ("sticky_artist",)
    # it knows nothing of this listener or track
    unknown: tuple[FallbackName, ...] = ("fold_in", "top_pop")


def recommend(
    model: Model,
    batch: Batch,
    names: Sequence[str],
    fallback: FallbackSettings,
    rng: np.random.Generator,
) -> list[tuple[str, Drawn]]:
    """Recommend a track to each row, by the recommender named for it, or by fallbacks.

    Returns:
        The recommender that had a track, and the track, for each row.
    """
    pairs = [members(name) for name in names]
    first = [pair[0] if pair else name for pair, name in zip(pairs, names, strict=True)]
    answers = list(zip(names, _ask(model, batch, first, rng), strict=True))
    interleaved = [i for i, pair in enumerate(pairs) if pair]
    if interleaved:
        second = [pairs[i][1] for i in interleaved]
        others = _ask(model, [batch[i] for i in interleaved], second, rng)
        coins = rng.random(len(interleaved)).tolist()
        for i, other, coin in zip(interleaved, others, coins, strict=True):
            drawn = (answers[i][1], other)
            may_draw = (
                RECOMMENDERS[pairs[i][0]].may_draw,
                RECOMMENDERS[pairs[i][1]].may_draw,
            )
            answers[i] = interleave(model, batch[i], names[i], drawn, may_draw, coin)
    return [
        (name, drawn)
        if drawn.track >= 0
        else _fall_back(model, row, drawn, fallback, rng)
        for (name, drawn), row in zip(answers, batch, strict=True)
    ]


def _ask(
    model: Model, batch: Batch, names: Sequence[str], rng: np.random.Generator
) -> list[Drawn]:
    """Ask the recommender named for each row."""
    different = sorted(set(names))  # the same draws from the same seed
    if len(different) == 1:
        return RECOMMENDERS[names[0]](model, batch, rng)
    drawn = [IS_UNKNOWN] * len(batch)
    for name in different:
        positions = [i for i, wanted in enumerate(names) if wanted == name]
        found = RECOMMENDERS[name](model, [batch[i] for i in positions], rng)
        for i, track in zip(positions, found, strict=True):
            drawn[i] = track
    return drawn


def _fall_back(
    model: Model,
    row: Row,
    missing: Drawn,
    fallback: FallbackSettings,
    rng: np.random.Generator,
) -> tuple[str, Drawn]:
    is_exhausted = missing.track == EXHAUSTED
    names = fallback.exhausted if is_exhausted else fallback.unknown
    for name in (*names, "random"):
        (drawn,) = RECOMMENDERS[name](model, [row], rng)
        if drawn.track >= 0:
            return name, drawn
    # The whole catalogue was heard in this session: a repeat is all there is.
    total = len(model.catalogue)
    return REPEAT, Drawn(int(rng.random() * total), 1.0 / total)
