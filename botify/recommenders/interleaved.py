"""The recommender `interleaved(a, b)`.

Both are asked, a fair coin takes the track of one, and that one is credited.

This is team draft interleaving with one track a draft (Radlinski, Kurup & Joachims, How Does
Clickthrough Data Reflect Retrieval Quality?, CIKM 2008). The event log says `a of interleaved(a,
b)`; where both have the same track, or only one has any, it says `interleaved(a, b)`, and neither
is credited.
"""

import re
from collections.abc import Sequence
from functools import cache

from botify.model.model import Model
from botify.recommenders.base import Drawn, Recommender, Row

_FORM = re.compile(r"interleaved\((\w+), ?(\w+)\)")


@cache
def members(name: str) -> tuple[str, ...]:
    """Return the two recommenders of an interleaved one; nothing for another."""
    found = _FORM.fullmatch(name)
    return found.groups() if found else ()


def interleave(
    model: Model,
    row: Row,
    name: str,
    recommenders: Sequence[Recommender],
    drawn: tuple[Drawn, Drawn],
    coin: float,
) -> tuple[str, Drawn]:
    """Take one of the tracks that both recommenders have drawn, by a coin from 0 to 1.

    `recommenders` and `drawn` are in the order of the name.

    Returns:
        The name for the log, and the track with the probability that it was drawn, by either.
    """
    first, second = drawn
    if first.track < 0 or second.track < 0:
        return name, max(drawn, key=lambda found: found.track)
    side = int(coin < 0.5)
    track = drawn[side].track
    first_chance = _chance(model, row, recommenders[0], first, track)
    second_chance = _chance(model, row, recommenders[1], second, track)
    if first_chance is None or second_chance is None:
        propensity = None
    else:
        propensity = (first_chance + second_chance) / 2
    if first.track == second.track:
        credited = name
    else:
        credited = f"{members(name)[side]} of {name}"
    return credited, Drawn(track, propensity)


def _chance(
    model: Model, row: Row, recommender: Recommender, drawn: Drawn, track: int
) -> float | None:
    """Return the probability with which a recommender that drew a track would draw this one."""
    if drawn.propensity is None:
        return None
    if track == drawn.track or recommender.may_draw(model, row, track):
        return drawn.propensity
    return 0.0
