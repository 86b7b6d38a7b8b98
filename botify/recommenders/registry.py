"""All recommenders by name: add a new one to `RECOMMENDERS`. Where one has no track, fallbacks are asked in order."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from botify.model.model import FACTORS, FOLDING, LISTS, NEIGHBOURS, SESSION_MODEL, Model
from botify.recommenders.base import (
    EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    Recommender,
    Row,
)
from botify.recommenders.interleaved import interleave, members
from botify.recommenders.lists import in_order, indexed, random, sticky_artist, top_pop
from botify.recommenders.session import contextual, fold_in, session_als
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
# Parts of an export that a recommender reads; beside the lists, the others are not loaded.
READS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("top_pop", "indexed", "in_order"), frozenset({LISTS})),
    "contextual": frozenset({NEIGHBOURS, FACTORS}),
    "session_als": frozenset({LISTS, FACTORS}),
    "fold_in": frozenset({FOLDING}),
    "session_model": frozenset({SESSION_MODEL}),
}
REPEAT = "repeat"


def parts_read(name: str) -> set[str]:
    """Return the parts of an export that a recommender reads, or both of an interleaved one."""
    return {
        part for member in members(name) or (name,) for part in READS.get(member, ())
    }


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
    """Recommenders to ask, in this order, where the arm's own has no track; after them any track not yet heard."""

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
    """Recommend a track to each row, by the recommender named for it, or by fallbacks where that has none.

    Returns:
        The recommender that had a track, and the track, for each row.
    """
    pairs = {name: members(name) or (name,) for name in set(names)}
    answers = list(
        zip(
            names,
            _ask(model, batch, [pairs[name][0] for name in names], rng),
            strict=True,
        )
    )
    positions = [i for i, name in enumerate(names) if len(pairs[name]) > 1]
    if positions:
        others = _ask(
            model,
            [batch[i] for i in positions],
            [pairs[names[i]][1] for i in positions],
            rng,
        )
        for i, other, coin in zip(
            positions, others, rng.random(len(positions)).tolist(), strict=True
        ):
            answers[i] = interleave(
                model, batch[i], names[i], (answers[i][1], other), coin
            )
    return [
        (name, found)
        if found.track >= 0
        else _fall_back(model, row, found, fallback, rng)
        for (name, found), row in zip(answers, batch, strict=True)
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
        for i, found in zip(
            positions,
            RECOMMENDERS[name](model, [batch[i] for i in positions], rng),
            strict=True,
        ):
            drawn[i] = found
    return drawn


def _fall_back(
    model: Model,
    row: Row,
    missing: Drawn,
    fallback: FallbackSettings,
    rng: np.random.Generator,
) -> tuple[str, Drawn]:
    chain = fallback.exhausted if missing.track == EXHAUSTED else fallback.unknown
    for name in (*chain, "random"):
        (drawn,) = RECOMMENDERS[name](model, [row], rng)
        if drawn.track >= 0:
            return name, drawn
    # The whole catalogue was heard in this session: a repeat is all there is.
    total = len(model.catalogue)
    return REPEAT, Drawn(int(rng.random() * total), 1.0 / total)
