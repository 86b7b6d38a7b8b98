"""Check before a search that each trial fits in the memory of a worker."""

from collections.abc import Iterable

from recsys.blockwise import block_bytes, is_cut
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError
from recsys.models.trial import Trial
from recsys.search.leaderboard import describe

_PROCESS = 300 * 2**20  # bytes of a worker that has imported everything
_GIB = 2**30


def check_memory(cluster: Cluster, trials: Iterable[Trial], dataset: Dataset) -> None:
    """Check that a worker has the memory that each trial is estimated to need.

    Raises:
        SearchError: A trial fits no worker.
    """
    limit = cluster.memory_limit()
    if not limit:
        return
    summary = dataset.summary
    for trial in trials:
        model_type, config = trial.model_type, trial.config
        needed = _PROCESS + model_type.estimate_bytes(config, summary)
        hints = ["larger workers"]
        if model_type.in_blocks:
            cut = _PROCESS + block_bytes(summary, config, cluster.slots())
            if is_cut(cluster.config, trial, dataset, "training"):
                needed = cut
            elif cut <= limit and cluster.config.fit == "whole":
                hints.insert(0, f"cluster.fit: blocks ({cut / _GIB:.1f} GiB)")
        if needed <= limit:
            continue
        if model_type.has_factors:
            none = config.model_copy(update={"factors": 0})
            rest = _PROCESS + model_type.estimate_bytes(none, summary)
            fewer = (limit - rest) * config.factors // (needed - rest)
            if fewer > 0:
                hints.insert(0, f"at most {fewer:.0f} factors")
        raise SearchError(
            f"{describe(trial)} needs about {needed / _GIB:.1f} GiB on a worker, and the largest "
            f"has {limit / _GIB:.1f} GiB; what fits: {', '.join(hints)}"
        )
