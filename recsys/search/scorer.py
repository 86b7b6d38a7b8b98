"""Score lists as a search does: top-k lists in, metrics with intervals out, compared in pairs.

Ranking metrics are defined in `analysis.validation` and `analysis/sql/validation/`; here a metric
is known by its key alone ("ndcg@30").

Repeats and new tracks have their own metrics: `repeat_ndcg@30` scores the best 30 tracks that the
listener heard before on the held-out tracks heard before, and `new_ndcg@30` scores the others.

Each listener has a value under both models of a pair, so the interval of the difference is
narrower than the interval of either model. Intervals come from a bootstrap over listeners with the
same resamples for all models (`analysis.statistics.bootstrap`). The same listeners choose the best
model, and the best of many equal models looks better than most. Simultaneous intervals correct for
the choice: in 95 % of searches, no model that is as good as the best is called worse.
"""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import special
from scipy.sparse import csr_matrix

from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE, Interval
from analysis.store import Store
from analysis.validation import ACCURACY, METRICS, Validator
from analysis.views import LISTENER_SCORES
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.files import json_digest
from looplib.randomness import make_generator
from looplib.rerank import Rerank
from recsys.cluster.processes import call_threads
from recsys.config import ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.dataset.features import UNKNOWN
from recsys.dataset.interactions import read_features
from recsys.errors import SearchError, StorageError
from recsys.models.factors import Pool
from recsys.models.trial import Checkpoint
from recsys.run import LISTENERS
from recsys.storage import Workspace
from recsys.store.ids import originals

RESAMPLES = 1000  # the ends of an interval then vary by 3 % of its width
_ROUNDING = 1e-6  # share of the largest standard error
_TEST_SHARE = 0.2  # share of the listeners with held-out sessions in the test part
_FEWEST_IN_TEST = 200
_MOST_CHOOSE = 5000  # the other listeners: more would cost more and choose no better
# pools of lists that are scored apart, on the held-out tracks in the same pool
SEGMENTS: tuple[Pool, ...] = ("repeat", "new")
_OF_ALL = {*METRICS} - {*ACCURACY}  # metrics without segments
EXAMPLES = "examples"  # the lists of a few listeners, in a file of that folder


@dataclass(frozen=True)
class Scorer:
    """The same held-out listening and the same resamples for everything in a search."""

    dataset: str  # its address
    validation: ValidationConfig
    seed: int  # decides the resamples
    rerank: Rerank = field(default_factory=Rerank)  # of the lists that are published
    is_test: bool = False  # scores on the test part, the listeners who choose nothing

    @property
    def dataset_digest(self) -> str:
        """Digest of the dataset, with which its address ends."""
        return self.dataset.rpartition("/")[2]

    @property
    def digest(self) -> str:
        """Digest of the inputs of a score: scores with equal digests can be compared."""
        facts = {
            "dataset": self.dataset_digest,
            "validation": self.validation.model_dump(mode="json"),
            "seed": self.seed,
        }
        if self.rerank.is_on:
            facts["rerank"] = self.rerank.model_dump()
        return json_digest(facts)[:12]

    def listeners_file(self, checkpoint: Checkpoint) -> str:
        """Name the file of the run with the listeners' parts of the choosing metric."""
        name = f"{checkpoint.trial.id}-{checkpoint.iteration}"
        part = "-test" if self.is_test else ""
        return f"{LISTENERS}/{self.digest}/{name}{part}.npz"

    def read_listeners(self, run: Workspace, checkpoint: Checkpoint) -> FloatArray:
        """Read the listeners' parts of the choosing metric, shape (2, listeners).

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
        except Exception as error:  # noqa: BLE001  zipfile and NumPy raise many kinds
            raise SearchError(
                f"{run}/{name}: damaged ({error}); search again, which runs this step again"
            ) from None

    def has_listeners(self, run: Workspace, checkpoint: Checkpoint) -> bool:
        """Check that `read_listeners` can read them."""
        with suppress(SearchError):
            self.read_listeners(run, checkpoint)
            return True
        return False


def choose_examples(scorer: Scorer, lists: Int32Array) -> IntArray:
    """Choose three scored listeners; their rows and lists, shape (3, 1 + k)."""
    listeners = validator_for(scorer).users
    rows = listeners[np.arange(1, 4) * len(listeners) // 4]
    return np.column_stack([rows, lists[rows]])


def write_listener_scores(
    scorer: Scorer, run: Workspace, steps: Iterable[Checkpoint], store: Store
) -> None:
    """Write the choosing metric of each scored listener and step, for people who ask in SQL."""
    rows = open_dataset(scorer.dataset).users[validator_for(scorer).users]
    listeners = pa.array(originals(store, "users", rows))
    tables = []
    for step in steps:
        sums, counts = scorer.read_listeners(run, step)
        has_value = counts > 0
        values = np.divide(sums, counts, where=has_value, out=np.zeros_like(sums))
        columns = {
            "listener": listeners,
            "trial": pa.repeat(step.trial.id, len(listeners)),
            "iteration": pa.repeat(step.iteration, len(listeners)),
            "metric": pa.repeat(scorer.validation.select, len(listeners)),
            "value": pa.array(values, mask=~has_value),
        }
        tables.append(pa.table(columns))
    with run.create(LISTENER_SCORES) as file:
        pq.write_table(pa.concat_tables(tables), file, compression="zstd")


def score_thirds(
    scorer: Scorer, run: Workspace, step: Checkpoint
) -> dict[str, Interval]:
    """Score thirds of the listeners, who played few, some and many tracks in training.

    Returns:
        The choosing metric by the numbers of tracks, such as "0 to 12".
    """
    users = validator_for(scorer).users
    tracks = open_dataset(scorer.dataset).counts("training")[users]
    thirds = np.array_split(np.argsort(tracks, kind="stable"), 3)
    is_in = np.array([np.isin(np.arange(len(users)), third) for third in thirds])
    parts = scorer.read_listeners(run, step)[:, np.newaxis] * is_in
    resamples = bootstrap.Resamples(len(users), RESAMPLES, scorer.seed)
    intervals = bootstrap.ratio_intervals(resamples, *parts.transpose(0, 2, 1))
    metrics = {}
    for third, interval in zip(thirds, intervals, strict=True):
        if len(third):
            metrics[f"{tracks[third[0]]} to {tracks[third[-1]]}"] = interval
    return metrics


@cache
def compare_steps(
    scorer: Scorer,
    run: Workspace,
    steps: tuple[Checkpoint, ...],
    best: int | None = None,
) -> list[Interval]:
    """Estimate how far each step is behind the best step, or behind another step."""
    parts = np.stack([scorer.read_listeners(run, step) for step in steps])
    if best is None:
        sums = parts.sum(axis=2)
        best = int(np.argmax(sums[:, 0] / sums[:, 1]))
    return differences(parts, best, RESAMPLES, scorer.seed)


def score_lists(
    scorer: Scorer,
    lists: Int32Array,
    *,
    is_whole: bool,
    listeners: IntArray | None = None,
    pool: Pool = "all",
) -> tuple[dict[str, Interval], FloatArray]:
    """Score lists by every metric, or by the choosing metric alone.

    Lists of repeats or of new tracks are scored on the held-out tracks of their pool.

    Args:
        scorer: Has the held-out listening.
        lists: Best track first, shape (lists, ≤ largest k).
        is_whole: Compute every metric.
        listeners: The row of the listener of each list; by default all listeners in order.
        pool: The pool of the lists.

    Returns:
        The metrics by their keys, and the listeners' parts of the choosing metric, by which fits
            are compared in pairs: numerators and denominators, shape (2, listeners).

    Raises:
        AnalysisError: No held-out track is in the pool.
    """
    rows = np.arange(len(lists)) if listeners is None else listeners
    select = scorer.validation.select
    validator = validator_for(scorer, pool)
    scored = validator.score(rows, lists, None if is_whole else select)
    metrics: dict[str, Interval] = {}
    for key, interval in scored.metrics.items():
        if pool == "all":
            metrics[key] = interval
        elif key.partition("@")[0] not in _OF_ALL:
            metrics[f"{pool}_{key}"] = interval
    return metrics, scored.ratios[select]


def resolve_split(scorer: Scorer) -> Scorer:
    """Resolve the share of the test part if the configuration leaves it open.

    Raises:
        AnalysisError: Nothing can be scored in the test part.
    """
    validation = scorer.validation
    share = validation.test_share
    if share is None:
        heldout = pq.read_table(open_dataset(scorer.dataset).heldout, columns=["user"])
        listeners = len(np.unique(heldout["user"].to_numpy()))
        share = max(_TEST_SHARE, 1 - _MOST_CHOOSE / max(listeners, 1))
        share = share if listeners * share >= _FEWEST_IN_TEST else 0.0
    decided = validation.model_copy(update={"test_share": share})
    scorer = replace(scorer, validation=decided)
    if share:
        # it refuses a test part in which nothing can be scored
        validator_for(replace(scorer, is_test=True))
    return scorer


@lru_cache(maxsize=8)
def validator_for(scorer: Scorer, pool: Pool = "all") -> Validator:
    """Prepare the process's validator: reading the held-out listening takes longer than a score.

    Raises:
        AnalysisError: No held-out track is in the pool.
    """
    dataset = open_dataset(scorer.dataset)
    heldout = pq.read_table(dataset.heldout)
    generator = make_generator(scorer.seed, "test part")
    share = scorer.validation.test_share or 0
    is_in_test = generator.random(len(dataset.users)) < share
    is_kept = is_in_test == scorer.is_test
    heldout = heldout.filter(pa.array(is_kept[heldout["user"].to_numpy()]))
    heard = dataset.matrix("training")
    arrays = (heard.data, heard.indices, heard.indptr)
    heard = csr_matrix(arrays, (len(dataset.users), len(dataset.tracks)))
    if pool != "all":
        rows, columns = (heldout[name].to_numpy() for name in ("user", "track"))
        is_repeat = np.ravel(heard[rows, columns]) > 0
        heldout = heldout.filter(pa.array(is_repeat == (pool == "repeat")))
    popularity = dataset.popularity("training")
    artists = read_features(dataset, "training").groups[0]
    tracks = {
        "track": np.arange(len(popularity)),
        "listeners": popularity,
        "artist": pa.array(artists, mask=artists == UNKNOWN),
    }
    return Validator(
        heldout,
        pa.table(tracks),
        catalogue_size=len(popularity),
        training_listeners=dataset.summary.training_listeners,
        heard=heard,
        ks=scorer.validation.ks,
        min_time=scorer.validation.min_time,
        resamples=RESAMPLES,
        seed=scorer.seed,
        threads=call_threads(),
    )


def differences(
    parts: FloatArray,
    reference: int,
    resamples: int,
    seed: int,
) -> list[Interval]:
    """Estimate the difference of each model's metric from a reference, with simultaneous intervals.

    Max-T: the width of the 95 % intervals, in standard errors, is such that in 95 % of the
    resamples no difference of two models is larger. Multiple comparisons with the best: Hsu,
    Multiple Comparisons, 1996, chapters 4 and 5; Romano & Wolf, Exact and Approximate Stepdown
    Methods for Multiple Hypothesis Testing, 2005, section 4.

    Args:
        parts: Numerators and denominators of the listeners, shape (models, 2, listeners).
        reference: Position of the model that the others are compared with.
        resamples: The number of resamples of the listeners.
        seed: Decides which listeners are drawn.
    """
    listeners = parts.shape[2]
    drawn = bootstrap.Resamples(listeners, resamples, seed)
    values, errors = _standard_errors(parts)
    noise = bootstrap.estimate(drawn, parts[:, 0].T, parts[:, 1].T) - values
    largest = np.array(
        [np.max(np.abs(row[:, np.newaxis] - row) / errors) for row in noise]
    )
    to_reference = errors[reference]
    errors_behind = np.where(np.isinf(to_reference), 0.0, to_reference)
    margins = _critical(largest, listeners) * errors_behind
    return _intervals(values - values[reference], margins)


def cross_fit(parts: FloatArray, folds: int, seed: int) -> FloatArray:
    """Score each fold of the listeners under the model that the other folds choose.

    No listener scores a model that the same listener chose, and all listeners score.

    Args:
        parts: Parts of the models to choose from; see `differences`.
        folds: The number of folds.
        seed: Decides which listeners are in a fold.

    Returns:
        Numerators and denominators of the listeners, shape (2, listeners).
    """
    fold_of = make_generator(seed, "folds").integers(folds, size=parts.shape[2])
    scored = np.empty(parts.shape[1:])
    for fold in range(folds):
        is_inside = fold_of == fold
        sums = parts[:, :, ~is_inside].sum(axis=2)
        best = np.argmax(bootstrap.divide(sums[:, 0], sums[:, 1]))
        scored[:, is_inside] = parts[best][:, is_inside]
    return scored


def leads(parts: FloatArray) -> list[Interval]:
    """Estimate the difference of each model's metric from the first model's, with 95 % intervals.

    Each interval holds for its pair alone. The claim that all intervals exclude 0 is wrong no more
    often than a single claim: an intersection-union test (Berger, Multiparameter Hypothesis
    Testing, 1982).

    Args:
        parts: Parts of the models; see `differences`.
    """
    values, errors = _standard_errors(parts)
    margins = errors[0] * special.stdtrit(parts.shape[2] - 1, (1 + CONFIDENCE) / 2)
    return _intervals(values - values[0], margins)[1:]


def _intervals(values: FloatArray, margins: FloatArray) -> list[Interval]:
    ends = (values, values - margins, values + margins)
    return list(map(Interval, *(end.tolist() for end in ends)))


def _standard_errors(parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the standard error of the difference of each two models, by the delta method.

    Unlike the spread of the resamples, the errors do not depend on the draw. Equal models differ by
    rounding alone, not by chance: the standard error of their difference is infinite.

    Returns:
        The metric of each model, shape (models,), and the errors, shape (models, models).
    """
    numerators, denominators = parts[:, 0], parts[:, 1]
    totals = denominators.sum(axis=1)
    values = bootstrap.divide(numerators.sum(axis=1), totals)
    totals = np.where(totals > 0, totals, 1)
    residuals = numerators - values[:, np.newaxis] * denominators
    shares = residuals / totals[:, np.newaxis]
    covariances = shares @ shares.T
    variances = np.diag(covariances)
    sums = variances[:, np.newaxis] + variances
    errors: FloatArray = np.sqrt(np.maximum(sums - 2 * covariances, 0))
    errors[errors <= _ROUNDING * np.sqrt(variances.max())] = np.inf
    return values, errors


def _critical(largest: FloatArray, listeners: int) -> float:
    """Compute the critical value in standard errors: a quantile of the largest difference.

    The rank of the quantile is one standard error higher, because the resamples are few. Student's
    distribution then takes the place of the normal distribution.
    """
    count = len(largest)
    rank = CONFIDENCE * count + math.sqrt(CONFIDENCE * (1 - CONFIDENCE) * count)
    normal = np.sort(largest)[min(math.ceil(rank), count) - 1]
    return float(-special.stdtrit(listeners - 1, special.ndtr(-normal)))
