"""The steps of a search whose fits run across all workers, `cluster.fit: blocks`: one after the other.

Each step first takes its trial's checkpoint to the step's sweep in blocks; the worker that then runs the step finds
nothing left to fit, and scores. So all that a search knows, keeps and decides is the same as with whole fits.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster
from recsys.cluster.retry import Call, Outcome
from recsys.dataset.dataset import open_dataset
from recsys.errors import TrialError, WorkerDiedError
from recsys.runs.folder import CHECKPOINTS, checkpoint_name
from recsys.runs.scores import Score, Step
from recsys.runs.trials import Trial
from recsys.scoring.scorer import Scorer
from recsys.search.fit_step import keep_fit, run_step
from recsys.workspace import Workspace, open_workspace


def run_steps_in_blocks(cluster: Cluster, ready: Callable[[], Sequence[Call]]) -> Iterator[Outcome[Score]]:
    """Runs the first step that is ready, and asks again, until none is.

    Fits on a share of the listeners are small, and run whole.

    Args:
        cluster: Where.
        ready: The steps, as calls of `run_step`; called after each outcome has been dealt with.

    Raises:
        SearchError: The scheduler is lost, or there has been no worker for a while.
    """
    while calls := ready():
        call = calls[0]
        step, scorer, address = call.arguments
        try:
            if isinstance(step.entry, Trial) and step.point.listeners == 1:
                _advance(cluster, step, scorer, open_workspace(address))
        except (TrialError, WorkerDiedError) as error:
            yield Outcome(call.key, None, error)
            continue
        for outcome in cluster.run(run_step, [call.arguments]):
            yield Outcome(call.key, outcome.value, outcome.error)


def _advance(cluster: Cluster, step: Step, scorer: Scorer, run: Workspace) -> None:
    """Takes a trial's checkpoint to the step's sweep."""
    trial = step.entry
    if not isinstance(trial, Trial):
        raise TypeError(f"{trial} is not fitted")
    began = time.perf_counter()
    name = checkpoint_name(trial)
    run.download(name)
    checkpoint = run.folder / name
    fit_s = 0.0
    if checkpoint.exists():
        with np.load(checkpoint) as kept:
            if kept["sweeps"] >= step.point.sweep:
                return
            fit_s = float(kept["fit_s"])
    dataset = open_dataset(scorer.dataset)
    blocks = cut_blocks(cluster, dataset, "train", run.sub(f"{CHECKPOINTS}/tracks"))
    folder = run.sub(f"{CHECKPOINTS}/{trial.id}")
    fit = fit_blocks(cluster, blocks, trial.params, trial.seed, step.point.sweep, folder, threads=scorer.threads)
    keep_fit(fit, run, trial, fit_s + time.perf_counter() - began)
