"""All recommenders by name; whom to ask for a row, and whom where that one has no track.

A new recommender is a class like those of `lists` in a file of its own, and a line in
`RECOMMENDERS`, and a row in docs/service.md. If it ranks as another exported list does, as
`discover` does, the line is enough; what is read of another exported file becomes a `Part`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from numpy.random import Generator
from pydantic import AfterValidator

from botify.model.model import Model, lists_in
from botify.recommenders.base import (
    EXHAUSTED,
    Drawn,
    Recommender,
    Row,
)
from botify.recommenders.factors import Contextual, FoldIn, SessionAls
from botify.recommenders.interleaved import interleave
from botify.recommenders.lists import Indexed, InOrder, Random, StickyArtist, TopPop
from botify.recommenders.next_track import FollowSession
from looplib.config import Config
from looplib.experiments import members

RECOMMENDERS: Mapping[str, Recommender] = {
    "random": Random(),
    "sticky_artist": StickyArtist(),
    "top_pop": TopPop(),
    "indexed": Indexed(),
    "in_order": InOrder(),
    "blend": InOrder(),
    "again": InOrder(lists_in("again.jsonl")),
    "discover": InOrder(lists_in("discover.jsonl")),
    "contextual": Contextual(),
    "session_als": SessionAls(),
    "fold_in": FoldIn(),
    "next_track": FollowSession(),
}
REPEAT = "repeat"


def asked_for(name: str) -> list[Recommender]:
    """Return the recommender of a name, or both of an interleaved one."""
    return [RECOMMENDERS[member] for member in members(name)]


def find_missing(name: str, model: Model) -> list[str]:
    """Return the names of the parts that a recommender needs and a version lacks."""
    parts = {part for asked in asked_for(name) for part in asked.reads}
    return sorted(part.name for part in parts if model.get(part) is None)


def _check_name(name: str) -> str:
    asked = members(name)
    distinct = set(asked)
    if not RECOMMENDERS.keys() >= distinct or len(distinct) < len(asked):
        known = ", ".join(RECOMMENDERS)
        raise ValueError(
            f"no such recommender; allowed: {known}, and interleaved(a, b) of two of these"
        )
    return name


RecommenderName = Annotated[str, AfterValidator(_check_name)]


class FallbackSettings(Config):
    """Recommenders to ask, in this order, where the arm's own has no track.

    After them any track not yet heard.
    """

    # all it would recommend was heard in this session
    exhausted: tuple[RecommenderName, ...] = ("sticky_artist",)
    # it knows nothing of this listener or track
    unknown: tuple[RecommenderName, ...] = ("fold_in", "top_pop")


def recommend(
    model: Model,
    batch: Sequence[Row],
    names: Sequence[str],
    fallback: FallbackSettings,
    rng: Generator,
) -> list[tuple[str, Drawn]]:
    """Recommend a track to each row, by the recommender named for it, or by fallbacks.

    Returns:
        The recommender that had a track, and the track, for each row.
    """
    answers = []
    for row, name in zip(batch, names, strict=True):
        credited, drawn = _ask(name, model, row, rng)
        if drawn.track < 0:
            credited, drawn = _fall_back(model, row, drawn, fallback, rng)
        answers.append((credited, drawn))
    return answers


def _ask(name: str, model: Model, row: Row, rng: Generator) -> tuple[str, Drawn]:
    drawn = [asked.draw(model, row, rng) for asked in asked_for(name)]
    if len(drawn) == 1:
        return name, drawn[0]
    return interleave(name, drawn, rng.random())


def _fall_back(
    model: Model,
    row: Row,
    missing: Drawn,
    fallback: FallbackSettings,
    rng: Generator,
) -> tuple[str, Drawn]:
    is_exhausted = missing.track == EXHAUSTED
    names = fallback.exhausted if is_exhausted else fallback.unknown
    for name in (*names, "random"):
        credited, drawn = _ask(name, model, row, rng)
        if drawn.track >= 0:
            return credited, drawn
    # All else was heard in this session: a repeat is all there is.
    tracks = range(len(model.catalogue))
    left = [track for track in tracks if track not in row.excluded]
    repeat = left[int(rng.random() * len(left))]
    return REPEAT, Drawn(repeat, 1.0 / len(left))
