"""The steps of a search as they come and go: what is ready, what an outcome means, and the ledger that keeps it."""

from collections.abc import Mapping, Sequence

from looplib.errors import UserError
from recsys.cluster.retry import Call, Outcome
from recsys.config import SearchConfig
from recsys.errors import TrialError, WorkerDiedError
from recsys.lock import Lock
from recsys.runs.folder import LEDGER, checkpoint_name
from recsys.runs.ledger import append_failure, append_score, read_ledger
from recsys.runs.scores import BASELINES, Checkpoint, Failure, Score, Step, entry_id
from recsys.runs.trials import Candidate
from recsys.scoring.scorer import Scorer
from recsys.search.schedule import Decisions, decide


class SearchState:
    """What a search knows and has left to do; begins with what its ledger holds.

    Attributes:
        results: What is known of every trial and baseline, by id.
        decisions: What follows from it.
    """

    def __init__(
        self,
        config: SearchConfig,
        candidates: Sequence[Candidate],
        scorers: Mapping[float, Scorer],
        lock: Lock,
    ) -> None:
        """Reads the ledger.

        Args:
            config: The search's.
            candidates: What is tried.
            scorers: Who scorers fits on each share of the listeners; 1 is among them.
            lock: The lock of the run.

        Raises:
            SearchError: The ledger is damaged.
        """
        self._config = config
        self._candidates = candidates
        self._scorers = scorers
        self._lock = lock
        self._forgotten: frozenset[str] = frozenset()
        self._run = lock.workspace
        entries = [*(trial for candidate in candidates for trial in candidate.trials), *BASELINES]
        self.results = read_ledger(self._run.folder / LEDGER, scorers[1].digest, entries)
        self.decisions = self._decide()

    @property
    def total(self) -> int:
        """Candidates and baselines."""
        return len(self._candidates) + len(BASELINES)

    @property
    def done(self) -> int:
        """Those of them that have nothing left to do."""
        return len(self.decisions.done) + len(BASELINES) - len(self._baseline_steps())

    def ready(self) -> list[Call]:
        """The steps that can be run now, the most urgent first."""
        steps = (*self.decisions.steps, *self._baseline_steps())
        return [Call(step, (step, self._scorers[step.point.listeners], self._run.address)) for step in steps]

    def take(self, outcome: Outcome[Score]) -> None:
        """Writes an outcome to the ledger, and decides anew.

        Raises:
            UserError: What failed is not the trial but what all of them share.
            OSError: The disk is full, or a file of the search is gone.
            StorageError: The run is at an address, and its server does not answer.
        """
        step: Step = outcome.key
        result = self.results[entry_id(step.entry)]
        ledger, scorer = self._run.folder / LEDGER, self._scorers[1].digest
        if outcome.value is not None:
            append_score(ledger, scorer, result, outcome.value)
            self.results[result.id] = result.with_score(outcome.value)
        else:
            failure = _failure(outcome, step.point)
            append_failure(ledger, scorer, result, failure)
            self.results[result.id] = result.with_failure(failure)
        self._lock.check()
        self._run.upload(LEDGER)
        self.decisions = self._decide()

    def _decide(self) -> Decisions:
        """The decisions; the checkpoints of candidates that go no further are removed."""
        metric = self._config.validation.select
        decisions = decide(self._config.search, self._candidates, self.results, metric)
        for candidate in self._candidates:
            if candidate.id in decisions.done - self._forgotten:
                self._run.delete(*(checkpoint_name(trial) for trial in candidate.trials))
        self._forgotten = decisions.done
        return decisions

    def _baseline_steps(self) -> list[Step]:
        unknown = (name for name in BASELINES if not (self.results[name].scores or self.results[name].failure))
        return [Step(name, Checkpoint(0)) for name in unknown]


def _failure(outcome: Outcome[Score], point: Checkpoint) -> Failure:
    error = outcome.error
    shared = isinstance(error, (OSError, UserError)) and not isinstance(error, (TrialError, WorkerDiedError))
    if error is None or shared:
        outcome.result()
    return Failure(f"{type(error).__name__}: {error}", point, final=isinstance(error, TrialError))
