"""The recommender that folds history and session in; the same session gets the same track."""

import numpy as np

from botify.model.model import FOLDING, Model
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    recommender,
)


@recommender(FOLDING)
def fold_in(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the best track of the whole catalogue, by the factor of history and session."""
    folding, drawn = model.folding, []
    for row in batch:
        factor = folding.solve(row.tracks, row.times, row.user) if folding else None
        if folding is None or factor is None:
            drawn.append(IS_UNKNOWN)
            continue
        track = folding.best(factor, row.taken | folding.seen(row.user))
        drawn.append(IS_EXHAUSTED if track is None else Drawn(track, 1.0))
    return drawn
