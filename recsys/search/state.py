"""Keep the state of a search: its ledger, and the decisions that follow from it."""

from collections.abc import Iterable, Sequence
from functools import partial

from looplib.errors import UserError
from recsys.cluster.cluster import Call, Outcome
from recsys.config import Search
from recsys.errors import TrialError, WorkerDiedError
from recsys.lock import Lock
from recsys.runs.folder import (
    LEDGER,
    blocks_name,
    checkpoint_name,
    has_listeners,
    read_listeners,
)
from recsys.runs.ledger import Ledger, Score, failure_of
from recsys.runs.ranking import RankedTrial, compare, rank
from recsys.runs.trials import Trial
from recsys.scoring import Scorer
from recsys.search.schedule import Decisions, decide


class SearchState:
    """What a search knows and has left to do; begins with what its ledger holds."""

    def __init__(
        self,
        search: Search,
        candidates: Sequence[Trial],
        baselines: Sequence[Trial],
        scorer: Scorer,
        lock: Lock,
    ) -> None:
        """Read the ledger of a locked run, and decide."""
        self.search = search
        self._lock = lock
        self.scorer = scorer
        self.candidates = candidates
        self.run = lock.workspace
        self.metric = scorer.validation.select
        self.baselines = baselines
        self.ledger = Ledger(
            self.run.folder / LEDGER,
            scorer.digest,
            (*candidates, *baselines),
            partial(has_listeners, self.run, scorer),
        )
        self.decisions = self._decide()

    @property
    def sweeps(self) -> int:
        """All sweeps that the fits of the search may take, with what takes none as one."""
        swept = sum(trial.takes_sweeps for trial in self.candidates)
        at_once = len(self.candidates) - swept + len(self.baselines)
        return swept * self.search.sweeps + at_once

    @property
    def done(self) -> int:
        """Sweeps that are done, or left out by fits that were stopped early."""
        scores = self.ledger.scores
        done = sum(bool(scores[trial.id]) for trial in self.baselines)
        for trial in self.candidates:
            if not trial.takes_sweeps:
                done += trial.id in self.decisions.done
                continue
            last = max((score.sweep for score in scores[trial.id]), default=0)
            done += self.search.sweeps if trial.id in self.decisions.done else last
        return done

    def ready(self) -> list[Call]:
        """Return the steps that can run now as calls of `run_step`, the most urgent first."""
        calls = [self._call(*step, is_whole=False) for step in self.decisions.steps]
        for trial in self.baselines:
            if not self.ledger.scores[trial.id]:
                calls.append(self._call(trial, 0, is_whole=True))
        return calls

    def partly_scored(self, ranking: Iterable[RankedTrial]) -> list[Call]:
        """Return the calls of `run_step` that score ranked trials by every metric."""
        return [
            self._call(ranked.trial, ranked.sweep, is_whole=True)
            for ranked in ranking
            if ranked.score and not ranked.score.is_whole
        ]

    def _call(self, trial: Trial, sweep: int, *, is_whole: bool) -> Call:
        earlier = [score.sweep for score in self.ledger.scores[trial.id]]
        start = max((scored for scored in earlier if scored <= sweep), default=0)
        arguments = (trial, sweep, self.scorer, self.run.address, start, is_whole)
        return Call((trial, sweep), arguments)

    def record(self, outcome: Outcome[Score]) -> None:
        """Write an outcome to the ledger, and decide anew.

        Of a trial's checkpoints the latest and the best stay; of one that was stopped, none.

        Raises:
            UserError, OSError: What failed is not the trial's own failure.
        """
        trial, sweep = outcome.key
        error = outcome.error
        is_own = isinstance(error, (TrialError, WorkerDiedError))
        if error is None or (isinstance(error, (OSError, UserError)) and not is_own):
            score = outcome.result()
        else:
            message = f"{type(error).__name__}: {error}"
            is_final = isinstance(error, TrialError)
            score = Score(sweep, error=message, is_final=is_final)
        self.ledger.add(trial, score)
        self._lock.check()
        self.run.upload(LEDGER)
        before = self.decisions
        self.decisions = self._decide()
        for trial_id in {trial.id, *(self.decisions.done - before.done)}:
            self._clear(trial_id)

    def _clear(self, trial_id: str) -> None:
        """Delete the checkpoints of a trial that are not needed any more."""
        scores = self.ledger.scores[trial_id]
        kept = set()
        if trial_id not in self.decisions.stopped and not failure_of(scores):
            best = max(
                scores, key=lambda score: (score.metrics[self.metric][0], -score.sweep)
            )
            kept = {best.sweep, max(score.sweep for score in scores)}
        old = {score.sweep for score in scores} - kept
        names = [checkpoint_name(trial_id, sweep) for sweep in sorted(old)]
        if trial_id in self.decisions.done:
            names.append(blocks_name(trial_id))
        self.run.delete(*names)

    def rank(self) -> list[RankedTrial]:
        """Return the ranking of candidates and baselines by the choosing metric."""
        return rank(
            (*self.candidates, *self.baselines),
            self.decisions.stopped,
            self.ledger.scores,
            self.metric,
        )

    def compare(
        self,
        ranking: Sequence[RankedTrial],
        best: RankedTrial,
        scorer: Scorer | None = None,
    ) -> list[RankedTrial]:
        """Return ranked trials with how far they are behind the best, one of them.

        They are compared on the listeners of the search's scorer, or of another.
        """
        return compare(
            ranking,
            best,
            partial(read_listeners, self.run, scorer or self.scorer),
            self.scorer.validation.resamples,
            self.scorer.seed,
        )

    def _decide(self) -> Decisions:
        return decide(self.search, self.candidates, self.ledger.scores, self.metric)
