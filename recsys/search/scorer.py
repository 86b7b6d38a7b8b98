"""Score lists as a search does: top-k lists in, metrics with intervals out.

Ranking metrics are defined in `analysis.validation` and `analysis/sql/validation/`; here a metric
is known by its key alone ("ndcg@30").

Repeats and new tracks have metrics of their own: `repeat_ndcg@30` is that of the best 30 of the
tracks heard before, on the held-out tracks that were heard before; `new_ndcg@30` of the others.

`ope_time@k` is the mean listening time of a recommended track when any of the best k is served, all
equally likely: the self-normalised estimate of `analysis.offpolicy` on the held-out sessions, a
ratio of sums over listeners. It is what an experiment measures; ranking metrics reward predicting
the tracks that listeners would have chosen themselves.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import AnalysisError
from analysis.offpolicy.estimate import estimate_policy
from analysis.offpolicy.logged import LoggedSessions, logged_sessions
from analysis.offpolicy.policies import match_lists, serve_lists
from analysis.validation import METRICS, Validator
from looplib.arrays import NO_TRACK, FloatArray, Int32Array, IntArray
from looplib.files import json_digest
from looplib.randomness import make_generator
from recsys.config import OPE_TIME, ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.errors import SearchError, StorageError
from recsys.models.factors import Pool
from recsys.search.comparison import MetricValue, differences
from recsys.search.trials import Checkpoint
from recsys.storage import Workspace

# of the listeners with held-out sessions
_TEST_SHARE = 0.2
_FEWEST_IN_TEST = 200
# pools of lists that are scored apart, on the held-out tracks in the same pool
SEGMENTS: tuple[Pool, ...] = ("repeat", "new")
_SEGMENT_METRICS = {*METRICS} - {"novelty", "coverage"}
LISTENERS = "listeners"  # the folder of a run


@dataclass(frozen=True)
class ListMetrics:
    """Metrics of lists, by their keys, such as "ndcg@30".

    Fits are compared in pairs by what each listener adds to the choosing metric: its numerators and
    denominators, shape (2, listeners).
    """

    metrics: dict[str, MetricValue]
    warnings: dict[str, str]  # why nothing should be concluded from a metric
    listeners: dict[str, FloatArray]  # of the choosing metric


@dataclass(frozen=True)
class Scorer:
    """The same held-out listening and the same resamples for everything in a search."""

    dataset: str  # its address
    validation: ValidationConfig
    seed: int  # decides the resamples
    threads: int  # of a fit and of a score; they change no result
    is_test: bool = False  # scores on the test part, the listeners who choose nothing

    @property
    def dataset_digest(self) -> str:
        """Digest of the dataset, with which its address ends."""
        return self.dataset.rpartition("/")[2]

    @property
    def digest(self) -> str:
        """Digest of all that a score follows from: scores of equal digests can be compared."""
        facts = {
            "dataset": self.dataset_digest,
            "validation": self.validation.model_dump(mode="json"),
            "seed": self.seed,
        }
        return json_digest(facts)[:12]

    def listeners_file(self, checkpoint: Checkpoint) -> str:
        """Name the file of the run with what each listener adds to the choosing metric."""
        name = f"{checkpoint.trial.id}-{checkpoint.iteration}"
        part = "-test" if self.is_test else ""
        return f"{LISTENERS}/{self.digest}/{name}{part}.npz"

    def read_listeners(self, run: Workspace, checkpoint: Checkpoint) -> FloatArray:
        """Read what each listener adds to the choosing metric; shape (2, listeners).

        Raises:
            SearchError: It is damaged.
            StorageError: It is missing, or cannot be read.
        """
        name = self.listeners_file(checkpoint)
        try:
            with np.load(run.cached(name)) as arrays:
                values: FloatArray = arrays[self.validation.select]
                return values
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001  of any kind, by zipfile and NumPy
            raise SearchError(
                f"{run}/{name}: damaged ({error}); search again, which runs this step again"
            ) from None

    def compare(
        self, run: Workspace, steps: Sequence[Checkpoint], best: int | None = None
    ) -> list[MetricValue]:
        """Estimate how far each step is behind the best, or behind that of a position."""
        parts = np.stack([self.read_listeners(run, step) for step in steps])
        if best is None:
            sums = parts.sum(axis=2)
            best = int(np.argmax(sums[:, 0] / sums[:, 1]))
        return differences(parts, best, self.validation.resamples, self.seed)

    def has_listeners(self, run: Workspace, checkpoint: Checkpoint) -> bool:
        """Check that `read_listeners` can read them."""
        with suppress(SearchError):
            self.read_listeners(run, checkpoint)
            return True
        return False


def score_lists(scorer: Scorer, lists: Int32Array, *, is_whole: bool) -> ListMetrics:
    """Score lists by every metric, or by the choosing one alone.

    A list for each listener, best track first; shape (listeners, ≤ largest k).
    """
    ks = scorer.validation.ks
    select = scorer.validation.select
    by_time = select.startswith(f"{OPE_TIME}@")
    padded = _pad(lists, max(ks))
    rows = np.arange(len(lists))
    scored = ListMetrics({}, {}, {})
    if is_whole or not by_time:
        metric = None if is_whole else select
        validation = validator_for(scorer).score(rows, padded, metric)
        for key, value in validation.metrics.items():
            scored.metrics[key] = (value.value, value.lower, value.upper)
        if select in validation.ratios:
            scored.listeners[select] = validation.ratios[select]
    sessions = _sessions_for(scorer) if is_whole or by_time else None
    if sessions is None:
        return scored
    matched, rank = match_lists(sessions, rows, padded)
    for k in ks:
        key = f"{OPE_TIME}@{k}"
        if not is_whole and key != select:
            continue
        estimate = estimate_policy(
            sessions,
            *serve_lists(sessions, matched[:, :k], rank, "random"),
            resamples=scorer.validation.resamples,
            seed=scorer.seed,
        )
        snips = estimate.snips
        scored.metrics[key] = (snips.value, snips.lower, snips.upper)
        if estimate.reasons:
            scored.warnings[key] = "; ".join(estimate.reasons)
        if key == select:
            _, weights, times = estimate.sums
            scored.listeners[key] = np.stack([times, weights])
    return scored


def score_segment(
    scorer: Scorer, pool: Pool, lists: Int32Array
) -> dict[str, MetricValue]:
    """Score lists of repeats, or of new tracks, on the held-out tracks of the pool.

    Where nothing that was held out is in the pool, there are no metrics.
    """
    try:
        validator = validator_for(scorer, pool)
    except AnalysisError:
        return {}
    padded = _pad(lists, max(scorer.validation.ks))
    scored = validator.score(np.arange(len(padded)), padded).metrics
    return {
        f"{pool}_{key}": (value.value, value.lower, value.upper)
        for key, value in scored.items()
        if key.partition("@")[0] in _SEGMENT_METRICS
    }


def _pad(lists: Int32Array, k: int) -> IntArray:
    """Lengthen lists to k tracks: a catalogue may be smaller."""
    widths = ((0, 0), (0, max(0, k - lists.shape[1])))
    return np.pad(lists.astype(np.int64), widths, constant_values=NO_TRACK)


def resolve_split(scorer: Scorer, catalogue: int | None) -> Scorer:
    """Resolve the test part where the configuration leaves it open; check the choosing metric.

    The number of tracks of the catalogue may be unknown.

    Raises:
        SearchError: The number of tracks is not known and matters, or the metric cannot choose.
        AnalysisError: Nothing can be scored in the test part.
    """
    validation = scorer.validation
    if validation.logging_policy != "logged" and catalogue is None:
        raise SearchError(
            f"validation.logging_policy is {validation.logging_policy}, and the store does not "
            "know how many tracks there are: none of its logs came with a collection.json; "
            "ingest with one, or use logging_policy: logged"
        )
    share = validation.test_share
    if share is None:
        heldout = pq.read_table(open_dataset(scorer.dataset).heldout, columns=["user"])
        listeners = len(np.unique(heldout["user"].to_numpy()))
        share = _TEST_SHARE if listeners * _TEST_SHARE >= _FEWEST_IN_TEST else 0.0
    decided = validation.model_copy(update={"test_share": share})
    scorer = replace(scorer, validation=decided)
    if share:
        # refuses a test part in which nothing can be scored
        validator_for(replace(scorer, is_test=True))
    is_estimated = validation.select.startswith(f"{OPE_TIME}@")
    if is_estimated and _sessions_for(scorer) is None:
        raise SearchError(
            f"validation.select is {validation.select}, and no held-out recommendation has a known "
            "propensity; log propensities, or state with validation.logging_policy: uniform that "
            "any track of the catalogue was equally likely"
        )
    return scorer


def _read_part(scorer: Scorer, file: Path) -> pa.Table:
    """Read the rows of the listeners who choose, or of those who choose nothing."""
    table = pq.read_table(file)
    listeners = len(open_dataset(scorer.dataset).users)
    generator = make_generator(scorer.seed, "test part")
    is_in_test = generator.random(listeners) < (scorer.validation.test_share or 0)
    is_kept = is_in_test == scorer.is_test
    return table.filter(pa.array(is_kept[table["user"].to_numpy()]))


@lru_cache(maxsize=3)
def _sessions_for(scorer: Scorer) -> LoggedSessions | None:
    """Prepare the process's logged sessions; None where no propensity is known."""
    dataset = open_dataset(scorer.dataset)
    validation = scorer.validation
    if not dataset.logged.exists():
        return None
    events = _read_part(scorer, dataset.logged)
    if not events:
        return None
    is_uniform = validation.logging_policy == "uniform"
    sessions = logged_sessions(events, dataset.summary.tracks if is_uniform else None)
    return sessions if sessions.counted.any() else None


@lru_cache(maxsize=8)
def validator_for(scorer: Scorer, pool: Pool = "all") -> Validator:
    """Prepare the process's validator: reading the held-out listening takes longer than a score.

    Raises:
        AnalysisError: Nothing that was held out is in the pool.
    """
    dataset = open_dataset(scorer.dataset)
    heldout = _read_part(scorer, dataset.heldout)
    if pool != "all":
        rows, columns = (heldout[name].to_numpy() for name in ("user", "track"))
        is_repeat = np.ravel(dataset.matrix("training")[rows, columns]) > 0
        heldout = heldout.filter(pa.array(is_repeat == (pool == "repeat")))
    popularity = dataset.popularity("training")
    return Validator(
        heldout,
        pa.table({"track": np.arange(len(popularity)), "listeners": popularity}),
        catalogue_size=dataset.summary.tracks,
        training_listeners=dataset.summary.training_listeners,
        ks=scorer.validation.ks,
        min_time=scorer.validation.min_time,
        resamples=scorer.validation.resamples,
        seed=scorer.seed,
        threads=scorer.threads,
    )
