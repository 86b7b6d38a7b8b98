"""Keep the state of a search: its ledger, and the decisions that follow from it."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

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
from recsys.runs.leaderboard import name_axes
from recsys.runs.ledger import Ledger, Score, failure_of
from recsys.runs.ranking import (
    RankedTrial,
    compare,
    differences,
    rank,
    scored_candidates,
)
from recsys.runs.trials import Trial, plan_wider
from recsys.scoring import MetricValue, Scorer
from recsys.search.schedule import Decisions, Step, decide


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
        self._planned = candidates
        self.candidates = candidates  # with those beyond the edges of the space
        self.widened = ""  # how that ended
        self.run = lock.workspace
        self.metric = scorer.validation.select
        self.baselines = baselines
        self.ledger = Ledger(
            self.run.folder / LEDGER,
            scorer.digest,
            partial(has_listeners, self.run, scorer),
        )
        self._compared: dict[tuple[Step, ...], list[MetricValue]] = {}
        self.decisions = self._decide()

    def count_steps(self) -> tuple[int, int]:
        """Count the steps that are done, or left out by fits that were stopped early, and all."""
        done = total = 0
        for trial in (*self.candidates, *self.baselines):
            steps = len(self.search.scored_sweeps) if trial.takes_sweeps else 1
            is_done = trial.id in self.decisions.done
            done += steps if is_done else len(self.ledger.scores[trial.id])
            total += steps
        return done, total

    def ready(self) -> list[Call]:
        """Return the steps that can run now as calls of `run_step`, the most urgent first."""
        # What takes no sweeps is scored by every metric at once, as its fit is not kept, and so is
        # the end of a fit: few that come there are not left at the end of the search.
        last = self.search.scored_sweeps[-1]
        calls = [
            self._call(trial, sweep, is_whole=sweep == last or not trial.takes_sweeps)
            for trial, sweep in self.decisions.steps
        ]
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
        """Decide on what was planned, and once that is done, on what lies beyond its edges."""
        self.candidates = self._planned
        self.widened = ""
        decisions = self._schedule(self._planned)
        if self.search.widen and not decisions.steps:
            decisions = self._widen(decisions)
        return decisions

    def _widen(self, decisions: Decisions) -> Decisions:
        """Add trials beyond the edges at which the best is, while it gains and is allowed to."""
        while (ranking := self._ranked()) and not (decisions.steps or self.widened):
            best = ranking[0].trial
            digest = self.scorer.dataset_digest
            new = plan_wider(best, self.candidates, digest)
            wider = self._affordable(new.values())
            if not new:
                self.widened = "the winner is inside of what was tried"
            elif not wider:
                self.widened = (
                    f"the winner is at the edge of {name_axes(best, new)}, and "
                    "search.widen_trials allows no more"
                )
            else:
                self.candidates = (*self.candidates, *wider)
                decisions = decisions.join(self._schedule([best, *wider]))
                if not decisions.steps:
                    self.widened = self._describe_tie(best)
        return decisions

    @property
    def added(self) -> Sequence[Trial]:
        """The candidates beyond the edges of the space."""
        return self.candidates[len(self._planned) :]

    def _affordable(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return which trials may be added; of more factors than planned they count more."""
        largest = max(map(_factors, self._planned))

        def cost(trial: Trial) -> float:
            return max(1, _factors(trial) / largest)

        left = self.search.widen_trials - sum(map(cost, self.added))
        found = []
        for trial in trials:
            if cost(trial) <= left:
                found.append(trial)
                left -= cost(trial)
        return found

    def _ranked(self) -> list[RankedTrial]:
        ranking = rank(self.candidates, {}, self.ledger.scores, self.metric)
        return scored_candidates(ranking)

    def _describe_tie(self, earlier: Trial) -> str:
        """Say that an earlier best trial is tied with the best now, if so."""
        ranking = self._ranked()
        trials = [ranked.trial for ranked in ranking]
        if trials[0] == earlier:
            return ""
        steps = tuple((ranked.trial, ranked.sweep) for ranked in ranking)
        behind, lower, upper = self._compare(steps)[trials.index(earlier)]
        if upper < 0:
            return ""
        gain = f"{-behind:.4f} ({-upper:.4f} … {-lower:.4f})"
        return f"the last step gained {gain} in {self.metric}, within its interval"

    def _schedule(self, candidates: Sequence[Trial]) -> Decisions:
        scores = self.ledger.scores
        return decide(self.search, candidates, scores, self.metric, self._compare)

    def _compare(self, steps: tuple[Step, ...]) -> list[MetricValue]:
        """Estimate how far each step is behind the best of them."""
        if steps not in self._compared:
            parts = np.stack(
                [read_listeners(self.run, self.scorer, *step) for step in steps]
            )
            sums = parts.sum(axis=2)
            best = int(np.argmax(sums[:, 0] / sums[:, 1]))
            resamples = self.scorer.validation.resamples
            seed = self.scorer.seed
            self._compared[steps] = differences(parts, best, resamples, seed)
        return self._compared[steps]


def _factors(trial: Trial) -> int:
    return int(getattr(trial.params, "factors", 1))
