"""The recommender `interleaved(a, b)`: both are asked, a fair coin takes the track of one, and that one is credited.

This is team draft interleaving with one track a draft (Radlinski, Kurup & Joachims, How Does
Clickthrough Data Reflect Retrieval Quality?, CIKM 2008). The event log says `a of interleaved(a,
b)`; where both have the same track, or only one has any, it says `interleaved(a, b)`, and neither
is credited.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from botify.model.model import Model
from botify.recommenders.base import Drawn, Row

_FORM = re.compile(r"interleaved\((\w+), ?(\w+)\)")

# Whether a recommender that draws at random could have drawn a track; all that it may draw are
# equally likely.
_MAY_DRAW: Mapping[str, Callable[[Model, Row, int], bool]] = {
    "random": lambda *_: True,
    "sticky_artist": lambda model, row, track: (
        model.catalogue.artist[track] == model.catalogue.artist[row.tracks[-1]]
    ),
    "top_pop": lambda model, _, track: track in model.popular,
    "indexed": lambda model, row, track: (
        track in model.recommendations.list_of(row.user)
    ),
}


@cache
def members(name: str) -> tuple[str, ...]:
    """Return the two recommenders of an interleaved one; nothing for another."""
    found = _FORM.fullmatch(name)
    return found.groups() if found else ()


def answering(name: str) -> set[str]:
    """Return every name that the log may have for an arm's recommender, fallbacks aside."""
    return {name, *members(name), *(f"{member} of {name}" for member in members(name))}


def interleave(
    model: Model, row: Row, name: str, drawn: tuple[Drawn, Drawn], coin: float
) -> tuple[str, Drawn]:
    """Take one of the tracks that both recommenders have drawn, in the order of the name, by a coin from 0 to 1.

    Returns:
        Who is credited, and the track with the probability that it was drawn, by either.
    """
    first, second = drawn
    if first.track < 0 or second.track < 0:
        return name, max(drawn, key=lambda found: found.track)
    found = drawn[coin < 0.5]
    chances = [
        _chance(model, row, *pair, found.track)
        for pair in zip(members(name), drawn, strict=True)
    ]
    propensity = (
        None if None in chances else sum(chance or 0.0 for chance in chances) / 2
    )
    side = members(name)[coin < 0.5]
    return name if first.track == second.track else f"{side} of {name}", Drawn(
        found.track, propensity
    )


def _chance(
    model: Model, row: Row, member: str, drawn: Drawn, track: int
) -> float | None:
    """Return the probability with which a recommender, which drew a track, would have drawn this one."""
    if track == drawn.track or drawn.propensity is None:
        return drawn.propensity
    may_draw = _MAY_DRAW.get(member)
    return drawn.propensity if may_draw and may_draw(model, row, track) else 0.0
