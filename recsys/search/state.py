"""The state of a search: its scores and the steps that are left."""

import itertools
import time
from dataclasses import replace
from functools import partial
from typing import Any

from looplib.errors import UserError
from recsys.errors import TrialError, TrialTimeoutError, WorkerDiedError
from recsys.lock import Lock
from recsys.models.external import CLASS
from recsys.models.libraries import pickle_class
from recsys.models.trial import Checkpoint, Trial
from recsys.run import LEDGER
from recsys.search.comparison import compare_steps
from recsys.search.evaluation import Evaluation
from recsys.search.leaderboard import Leaderboard, rank
from recsys.search.ledger import (
    Ledger,
    Score,
    best_score,
    failure_of,
)
from recsys.search.schedule import Schedule, expand
from recsys.search.trials import SearchPlan


class SearchState:
    """The scores of a search and the steps that are left; it begins with the ledger's scores."""

    def __init__(
        self,
        plan: SearchPlan,
        evaluation: Evaluation,
        lock: Lock,
    ) -> None:
        """Read the ledger of a locked run, and schedule."""
        self.plan = plan
        self.search = plan.config.search
        self._lock = lock
        self.evaluation = evaluation
        self.run = lock.workspace
        self.select = plan.config.validation.select  # the metric that chooses
        is_kept = partial(evaluation.has_listeners, self.run)
        self.ledger = Ledger(self.run.folder / LEDGER, evaluation.digest, is_kept)
        lines = itertools.chain(*self.ledger.scores.values())
        self._began = time.monotonic() - max((line.at_s for line in lines), default=0)
        self.schedule = self._decide()

    @property
    def trials(self) -> list[Trial]:
        """The planned and the added candidates, and the baselines."""
        return [*self.plan.candidates, *self.schedule.added, *self.plan.baselines]

    def count_steps(self) -> tuple[int, int]:
        """Count the steps that are done or left out by an early stop, and all steps."""
        done = total = 0
        for trial in self.trials:
            steps = len(self.search.scored_iterations) if trial.is_iterative else 1
            is_done = trial.id in self.schedule.done
            done += steps if is_done else len(self.ledger.scores[trial.id])
            total += steps
        return done, total

    def ready(self) -> list[Checkpoint]:
        """List the steps that can run now, the most urgent first."""
        baselines = self.plan.baselines
        left = [trial for trial in baselines if not self.ledger.scores[trial.id]]
        return [*self.schedule.steps, *(Checkpoint(trial, 0) for trial in left)]

    def arguments(self, step: Checkpoint) -> tuple[Any, ...]:
        """List the arguments of `run_step`."""
        earlier = [score.iteration for score in self.ledger.scores[step.trial.id]]
        start = max((done for done in earlier if done <= step.iteration), default=0)
        # A fit without iterations is scored by every metric at once, because it is not kept. So is
        # the end of a fit: most fits that reach it are finalists. Another step runs again as one.
        ends = (0, self.search.iterations, *earlier)
        path = step.trial.params.get(CLASS)
        shipped = path and pickle_class(path)
        is_whole = step.iteration in ends
        return (step, self.evaluation, self.run.address, start, is_whole, shipped)

    def record(self, step: Checkpoint, end: Score | Exception) -> None:
        """Write the end of a step to the ledger, and schedule anew.

        The latest and the best checkpoint of a trial stay; a stopped trial keeps none.

        Raises:
            UserError, OSError: The error is no failure of the trial itself.
        """
        failures = (TrialError, TrialTimeoutError, WorkerDiedError)
        if isinstance(end, (OSError, UserError)) and not isinstance(end, failures):
            raise end
        if isinstance(end, Score):
            score = end
        else:
            score = Score(
                step.trial,
                step.iteration,
                self.evaluation.digest,
                error=f"{type(end).__name__}: {end}",
                is_final=isinstance(end, TrialError),
            )
        self.ledger.add(replace(score, at_s=round(self._seconds(), 3)))
        self._lock.check()
        self.run.upload(LEDGER)
        before = self.schedule
        self.schedule = self._decide()
        ended = self.schedule.done - before.done
        for trial in self.trials:
            if trial.id in ended or trial.id == score.trial.id:
                self._clear(trial)

    def _clear(self, trial: Trial) -> None:
        """Delete the checkpoints of a trial that are not needed any more."""
        scores = self.ledger.scores[trial.id]
        best = best_score(scores, self.select)
        needed = set()
        if best and trial.id not in self.schedule.stopped and not failure_of(scores):
            needed = {best.iteration, scores[-1].iteration}
        names = [
            score.checkpoint.file for score in scores if score.iteration not in needed
        ]
        if trial.id in self.schedule.done:
            names.append(trial.blocks_folder)
        self.run.delete(*names)

    def rank(self) -> Leaderboard:
        """Rank candidates and baselines by the choosing metric."""
        stopped = self.schedule.stopped
        return rank(self.trials, stopped, self.ledger.scores, self.select)

    def _decide(self) -> Schedule:
        return expand(
            self.search,
            self.plan.candidates,
            self.ledger.scores,
            self.select,
            partial(compare_steps, self.evaluation, self.run),
            self.evaluation.dataset_digest,
            is_late=self._seconds() > 60 * self.search.minutes,
        )

    def _seconds(self) -> float:
        """Measure how long the search has taken, over all its runs."""
        return time.monotonic() - self._began
