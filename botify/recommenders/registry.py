"""All recommenders by name, and the answer to a query: a recommender's track, or a fallback's.

A new recommender is a function like those of `lists`, a line in `RECOMMENDERS`, and a row in
docs/service.md. A recommender of another exported list, such as `new`, needs only the line; values
of another exported file become an `Artifact`. Other packages register theirs by entry points.
"""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated

import numpy as np
from numpy.random import Generator
from pydantic import AfterValidator

from botify.errors import BotifyError, ModelError
from botify.model.model import LISTS, ServedModel, lists_in
from botify.recommenders.base import UNKNOWN, Drawn, Query, Recommender
from botify.recommenders.explore import explore, parse
from botify.recommenders.lists import (
    draw_any,
    draw_listed,
    draw_popular,
    draw_same_artist,
    in_order,
)
from botify.recommenders.memory import activation, fold_in, latest, live, most_played
from looplib.arrays import NO_TRACK, IntArray
from looplib.config import Config
from looplib.experiments import members
from looplib.rerank import ARTIST

RECOMMENDERS: Mapping[str, Recommender] = {
    "random": Recommender(draw_any),
    "sticky_artist": Recommender(draw_same_artist),
    "top_pop": Recommender(draw_popular, reads=(LISTS,)),
    "indexed": Recommender(draw_listed, reads=(LISTS,)),
    "in_order": in_order(LISTS),
    "repeat": in_order(lists_in("repeat.jsonl")),
    "new": in_order(lists_in("new.jsonl")),
    "most_played": most_played,
    "latest": latest,
    "activation": activation,
    "fold_in": fold_in,
    "live": live,
}
GROUP = "listening_loop.recommenders"  # the group of entry points
_PROBES = (
    8  # listeners and tracks that each recommender is asked about when it is loaded
)
ARTISTS = "artists with several tracks"
ANY_REPEAT = "any_repeat"  # in the log, if all tracks were heard in the session


@cache
def load_recommenders() -> Mapping[str, Recommender]:
    """Load the recommenders of this package and, by their entry points, of others by name.

    Raises:
        BotifyError: One cannot be loaded, is none, or has the name of another.
    """
    loaded = dict(RECOMMENDERS)
    for point in entry_points(group=GROUP):
        try:
            recommender = point.load()
        except Exception as error:  # its module may raise any kind
            raise BotifyError(f"{point.value}: cannot be loaded ({error})") from error
        if point.name in loaded or not isinstance(recommender, Recommender):
            raise BotifyError(
                f"{point.value}: a Recommender under a name of its own is expected, found "
                f"{type(recommender).__name__} {point.name}"
            )
        loaded[point.name] = recommender
    return loaded


def find_recommenders(name: str) -> list[Recommender]:
    """Look up the recommender of a name, or both recommenders of an interleaved pair."""
    return [_find_recommender(member) for member in members(name)]


def _find_recommender(name: str) -> Recommender:
    if exploration := parse(name):
        ranking = load_recommenders()[exploration.recommender]
        return explore(ranking, exploration.share, exploration.top)
    return load_recommenders()[name]


def is_from_here(name: str) -> bool:
    """Check whether a recommender, and each part of it, is of this package."""
    parts = {
        exploration.recommender if (exploration := parse(member)) else member
        for member in members(name)
    }
    return parts <= RECOMMENDERS.keys()


def missing_artifacts(name: str, model: ServedModel) -> list[str]:
    """List the names of the artifacts that a recommender needs and a version lacks."""
    needed = {
        artifact
        for recommender in find_recommenders(name)
        for artifact in recommender.reads
    }
    missing = [artifact.name for artifact in needed if model.get(artifact) is None]
    if needs_artists(name) and not model.catalogue.has(ARTIST):
        missing.append(ARTISTS)
    return sorted(missing)


def needs_artists(name: str) -> bool:
    """Check whether a recommender goes by artists alone."""
    return RECOMMENDERS["sticky_artist"] in find_recommenders(name)


def check_name(name: str) -> str:
    """Check the name of a recommender, or of two that are interleaved.

    Raises:
        ValueError: There is none of this name, or it explores a recommender without a ranking.
    """
    names = members(name)
    recommenders = load_recommenders()
    plain: list[str] = []
    for member in names:
        exploration = parse(member)
        plain.append(exploration.recommender if exploration else member)
        inner = recommenders.get(plain[-1])
        if exploration and inner and not inner.ranks:
            ranking = ", ".join(name for name, row in recommenders.items() if row.ranks)
            raise ValueError(f"{member}: has no ranking; allowed: {ranking}")
    if not recommenders.keys() >= set(plain) or len({*names}) < len(names):
        allowed = ", ".join(recommenders)
        raise ValueError(
            f"{name}: no such recommender; allowed: {allowed}, "
            "explore(a, share) of a ranking, and interleaved(a, b) of two of these"
        )
    return name


Failed = Callable[[str, Exception], None]
"""Hears of a recommender that failed, by its name."""

RecommenderName = Annotated[str, AfterValidator(check_name)]


def check_draws(model: ServedModel, names: Collection[str]) -> None:
    """Ask recommenders for known and unknown listeners and tracks.

    Raises:
        ModelError: A recommender fails, or computes a value that is not finite.
    """

    def refuse(name: str, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        message = f"version {model.version}: {name} fails ({reason})"
        raise ModelError(message) from error

    rng = np.random.default_rng(0)
    listeners = [*_spread(model.recommendations.ids), -1]
    tracks = [*_spread(range(len(model.catalogue))), NO_TRACK]
    with np.errstate(all="raise", under="ignore"):
        for name, listener in itertools.product(names, listeners):
            for last, track in enumerate(tracks, 1):
                alone = Query(int(listener), [track], [1.0])
                session = Query(int(listener), tracks[:last], [0.5] * last, count=2)
                for query in (alone, session):
                    draw(name, model, query, rng, refuse)


def _spread(values: Sequence[int] | IntArray) -> list[int]:
    """Take a few values, the first and the last among them."""
    places = np.linspace(0, len(values) - 1, min(_PROBES, len(values)))
    return [values[place] for place in places.astype(int)]


class FallbackSettings(Config):
    """Recommenders to ask, in this order, where the arm's own has no track.

    After them any track not yet heard.
    """

    # all it would recommend was heard in this session
    exhausted: tuple[RecommenderName, ...] = ("sticky_artist",)
    # it knows nothing of this listener or track
    unknown: tuple[RecommenderName, ...] = ("fold_in", "top_pop")


def recommend(
    model: ServedModel,
    query: Query,
    name: str,
    fallback: FallbackSettings,
    rng: Generator,
    failed: Failed,
) -> tuple[str, Drawn]:
    """Recommend a track by a recommender, or by fallbacks, else any track, else a repeat.

    Returns:
        The recommender that had a track, and the track.
    """
    credited, drawn = draw(name, model, query, rng, failed)
    if drawn.track != NO_TRACK:
        return credited, drawn
    names = fallback.exhausted if drawn.is_exhausted else fallback.unknown
    for name_after in (*names, "random"):
        credited, drawn = draw(name_after, model, query, rng, failed)
        if drawn.track != NO_TRACK:
            return credited, drawn
    # All else was heard in this session: a repeat is all there is.
    tracks = range(len(model.catalogue))
    allowed = [track for track in tracks if track not in query.excluded]
    repeat = allowed[int(rng.random() * len(allowed))]
    return ANY_REPEAT, Drawn(repeat, 1.0 / len(allowed))


def draw(
    name: str, model: ServedModel, query: Query, rng: Generator, failed: Failed
) -> tuple[str, Drawn]:
    """Draw a track by a recommender or an interleaved pair; none if the recommender fails."""
    try:
        drawn = [member.draw(model, query, rng) for member in find_recommenders(name)]
    except Exception as error:  # noqa: BLE001  whatever a version makes it raise
        failed(name, error)
        return name, UNKNOWN
    if len(drawn) == 1:
        return name, drawn[0]
    return interleave(name, drawn, rng.random())


def interleave(name: str, drawn: Sequence[Drawn], coin: float) -> tuple[str, Drawn]:
    """Choose by a fair coin between the tracks that two interleaved recommenders have drawn.

    This is team draft interleaving with one track a draft (Radlinski, Kurup & Joachims, How Does
    Clickthrough Data Reflect Retrieval Quality?, CIKM 2008).

    Args:
        name: Name of the recommender, `interleaved(a, b)`.
        drawn: The tracks of a and b.
        coin: Uniform from 0 to 1.

    Returns:
        The name for the event log, `a of interleaved(a, b)`, and the track, whose probability is
        not known. If both have the same track, or only one has a track, neither is credited: the
        name is `interleaved(a, b)`.

    >>> interleave("interleaved(indexed, top_pop)", [Drawn(3), Drawn(8)], coin=0.2)[0]
    'top_pop of interleaved(indexed, top_pop)'
    """
    first, second = drawn
    # prefer a draw with a track, then an unknown track
    if NO_TRACK in (first.track, second.track):
        return name, max(drawn, key=lambda draw: (draw.track, not draw.is_exhausted))
    index = int(coin < 0.5)
    is_same = first.track == second.track
    credited = name if is_same else f"{members(name)[index]} of {name}"
    return credited, drawn[index]._replace(propensity=None)
