"""What a search knows and has left to do: its ledger, and the decisions that follow from it."""

from collections.abc import Iterable, Sequence
from functools import partial

from looplib.errors import UserError
from recsys.cluster.retry import Call, Outcome
from recsys.config import Search
from recsys.errors import TrialError, WorkerDiedError
from recsys.lock import Lock
from recsys.runs.folder import LEDGER, checkpoint_name, has_listeners
from recsys.runs.ledger import Ledger, Score, failure_of, score_after
from recsys.runs.ranking import Row, rank
from recsys.runs.trials import Trial, plan_baselines
from recsys.scoring import Scorer
from recsys.search.schedule import Decisions, decide


class SearchState:
    """What a search knows and has left to do; begins with what its ledger holds."""

    def __init__(
        self, search: Search, candidates: Sequence[Trial], scorer: Scorer, lock: Lock
    ) -> None:
        """Read the ledger of a locked run, and decide."""
        self._search, self._lock, self.scorer = search, lock, scorer
        self.run, self.candidates, self.metric = (
            lock.workspace,
            candidates,
            scorer.validation.select,
        )
        self.baselines = plan_baselines(scorer.seed)
        is_kept = partial(has_listeners, self.run, scorer)
        self.ledger = Ledger(
            self.run.folder / LEDGER,
            scorer.digest,
            (*candidates, *self.baselines),
            is_kept,
        )
        self._deleted: frozenset[str] = frozenset()
        self.decisions = self._decide()

    @property
    def sweeps(self) -> int:
        """All sweeps that the fits of the search may take, with a baseline as one."""
        return len(self.candidates) * self._search.sweeps + len(self.baselines)

    @property
    def done(self) -> int:
        """Sweeps that are done, or left out by fits that were stopped early."""
        scores = self.ledger.scores
        done = sum(bool(scores[trial.id]) for trial in self.baselines)
        for trial in self.candidates:
            last = max((score.sweep for score in scores[trial.id]), default=0)
            done += self._search.sweeps if trial.id in self.decisions.done else last
        return done

    def ready(self) -> list[Call]:
        """Return the steps that can be run now, the most urgent first, as calls of `run_step`."""
        baselines = [
            (trial, 0) for trial in self.baselines if not self.ledger.scores[trial.id]
        ]
        steps = [
            *((step, False) for step in self.decisions.steps),
            *((step, True) for step in baselines),
        ]
        return [
            Call(step, (*step, self.scorer, self.run.address, is_whole))
            for step, is_whole in steps
        ]

    def partly_scored(self, rows: Iterable[Row]) -> list[Call]:
        """Return the calls of `run_step` that score rows by every metric."""
        scores = self.ledger.scores
        steps = [
            (row.trial, row.sweep)
            for row in rows
            if not failure_of(scores[row.trial.id])
        ]
        partly = [
            step
            for step in steps
            if (score := score_after(scores[step[0].id], step[1]))
            and not score.is_whole
        ]
        return [
            Call(step, (*step, self.scorer, self.run.address, True)) for step in partly
        ]

    def record(self, outcome: Outcome[Score]) -> None:
        """Write an outcome to the ledger, and decide anew; raise what failed if it is not the trial's own failure."""
        (trial, sweep), error = outcome.key, outcome.error
        is_own = isinstance(error, (TrialError, WorkerDiedError)) or not isinstance(
            error, (OSError, UserError)
        )
        if error is not None and is_own:
            score = Score(
                sweep,
                error=f"{type(error).__name__}: {error}",
                is_final=isinstance(error, TrialError),
            )
        else:
            score = outcome.result()
        self.ledger.add(trial, score)
        self._lock.check()
        self.run.upload(LEDGER)
        self.decisions = self._decide()

    def rank(self, metric: str) -> list[Row]:
        """Return the ranking of candidates and baselines by a metric."""
        return rank(
            (*self.candidates, *self.baselines),
            self.decisions.stopped,
            self.ledger.scores,
            metric,
        )

    def _decide(self) -> Decisions:
        """Return the decisions; the checkpoints of candidates that go no further are deleted."""
        decisions = decide(
            self._search, self.candidates, self.ledger.scores, self.metric
        )
        over = decisions.done - self._deleted
        self.run.delete(
            *(checkpoint_name(trial) for trial in self.candidates if trial.id in over)
        )
        self._deleted = decisions.done
        return decisions
