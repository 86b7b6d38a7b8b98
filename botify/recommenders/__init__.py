"""Who recommends the next track: pure functions of the model, the session so far and a generator, over a batch."""

from botify.recommenders.base import Batch, Drawn, Recommender, Row
from botify.recommenders.fallback import Chains, recommend

__all__ = ["Batch", "Chains", "Drawn", "Recommender", "Row", "recommend"]
