"""The recommender `interleaved(a, b)`.

Both are asked, a fair coin takes the track of one, and that one is credited.

This is team draft interleaving with one track a draft (Radlinski, Kurup & Joachims, How Does
Clickthrough Data Reflect Retrieval Quality?, CIKM 2008). The event log says `a of interleaved(a,
b)`; where both have the same track, or only one has any, it says `interleaved(a, b)`, and neither
is credited.
"""

from collections.abc import Sequence

from botify.recommenders.base import Drawn
from looplib.experiments import members


def interleave(name: str, drawn: Sequence[Drawn], coin: float) -> tuple[str, Drawn]:
    """Take one of the tracks that both recommenders have drawn, by a coin from 0 to 1.

    `drawn` is in the order of the name.

    Returns:
        The name for the log, and the track; its probability, by either, is not known.
    """
    first, second = drawn
    if first.track < 0 or second.track < 0:
        return name, max(drawn, key=lambda found: found.track)
    side = int(coin < 0.5)
    is_same = first.track == second.track
    credited = name if is_same else f"{members(name)[side]} of {name}"
    return credited, Drawn(drawn[side].track, None)
