"""Score lists as a search does: top-k lists in, metrics with intervals out.

Ranking metrics are defined in `analysis.validation` and `analysis/sql/validation/`; here a metric
is known by its key alone ("ndcg@30").

Repeats and new tracks have their own metrics: `repeat_ndcg@30` scores the best 30 tracks that the
listener heard before on the held-out tracks heard before, and `new_ndcg@30` scores the others.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from analysis.statistics.effects import Interval
from analysis.store import Store
from analysis.validation import ACCURACY, METRICS, Validator
from analysis.views import LISTENER_SCORES
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.categories import UNKNOWN
from looplib.files import json_digest
from looplib.randomness import make_generator
from looplib.rerank import Rerank
from recsys.cluster.processes import call_threads
from recsys.config import ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.dataset.interactions import read_features
from recsys.errors import SearchError, StorageError
from recsys.models.factors import Pool
from recsys.models.trial import Checkpoint
from recsys.run import LISTENERS
from recsys.storage import Workspace
from recsys.store.ids import originals

RESAMPLES = 1000  # the ends of an interval then vary by 3 % of its width
_TEST_SHARE = 0.2  # share of the listeners with held-out sessions in the test part
_FEWEST_IN_TEST = 200
_MOST_CHOOSE = 5000  # the other listeners: more would cost more and choose no better
_MOST_TESTED = 100_000  # listeners of the test part that are scored
# pools of lists that are scored apart, on the held-out tracks in the same pool
SEGMENTS: tuple[Pool, ...] = ("repeat", "new")
_OF_ALL = {*METRICS} - {*ACCURACY}  # metrics without segments
EXAMPLES = "examples"  # the lists of a few listeners, in a file of that folder


@dataclass(frozen=True)
class Evaluation:
    """The same held-out listening and the same resamples for everything in a search."""

    dataset: str  # its address
    validation: ValidationConfig
    seed: int  # decides the resamples
    rerank: Rerank = field(default_factory=Rerank)  # applied to published lists
    is_test: bool = False  # scores on the test part, the listeners who choose nothing
    # share of all listeners that is scored, if it is less than the test part
    tested: float | None = None

    @property
    def dataset_digest(self) -> str:
        """Digest of the dataset, with which its address ends."""
        return self.dataset.rpartition("/")[2]

    @property
    def digest(self) -> str:
        """Digest of the inputs of a score: scores with equal digests can be compared."""
        inputs = {
            "dataset": self.dataset_digest,
            "validation": self.validation.model_dump(mode="json"),
            "seed": self.seed,
        }
        if self.rerank.is_on:
            inputs["rerank"] = self.rerank.model_dump()
        if self.tested:
            inputs["tested"] = self.tested
        return json_digest(inputs)[:12]

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

    @property
    def listeners(self) -> IntArray | None:
        """Rows of the listeners who are scored by every metric; None for all."""
        if self.tested is None:
            return None
        both = (validator_for(replace(self, is_test=part)) for part in (False, True))
        return np.concatenate([validator.users for validator in both])

    def has_listeners(self, run: Workspace, checkpoint: Checkpoint) -> bool:
        """Check that `read_listeners` can read them."""
        with suppress(SearchError):
            self.read_listeners(run, checkpoint)
            return True
        return False


def choose_examples(evaluation: Evaluation, lists: Int32Array) -> IntArray:
    """Choose three scored listeners; their rows and lists, shape (3, 1 + k)."""
    places = np.arange(1, 4) * len(validator_for(evaluation).users) // 4
    rows = validator_for(evaluation).users[places]
    if evaluation.listeners is None:
        places = rows
    return np.column_stack([rows, lists[places]])


def write_listener_scores(
    evaluation: Evaluation, run: Workspace, steps: Iterable[Checkpoint], store: Store
) -> None:
    """Write the choosing metric of each scored listener and step, for people who ask in SQL."""
    rows = open_dataset(evaluation.dataset).users[validator_for(evaluation).users]
    listeners = pa.array(originals(store, "users", rows))
    tables = []
    for step in steps:
        sums, counts = evaluation.read_listeners(run, step)
        has_value = counts > 0
        values = np.divide(sums, counts, where=has_value, out=np.zeros_like(sums))
        columns = {
            "listener": listeners,
            "trial": pa.repeat(step.trial.id, len(listeners)),
            "iteration": pa.repeat(step.iteration, len(listeners)),
            "metric": pa.repeat(evaluation.validation.select, len(listeners)),
            "value": pa.array(values, mask=~has_value),
        }
        tables.append(pa.table(columns))
    with run.create(LISTENER_SCORES) as file:
        pq.write_table(pa.concat_tables(tables), file, compression="zstd")


def score_lists(
    evaluation: Evaluation,
    lists: Int32Array,
    *,
    is_whole: bool,
    listeners: IntArray | None = None,
    pool: Pool = "all",
) -> tuple[dict[str, Interval], FloatArray]:
    """Score lists by every metric, or by the choosing metric alone.

    Lists of repeats or of new tracks are scored on the held-out tracks of their pool.

    Args:
        evaluation: Has the held-out listening.
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
    select = evaluation.validation.select
    validator = validator_for(evaluation, pool)
    scored = validator.score(rows, lists, None if is_whole else select)
    metrics: dict[str, Interval] = {}
    for key, interval in scored.metrics.items():
        if pool == "all":
            metrics[key] = interval
        elif key.partition("@")[0] not in _OF_ALL:
            metrics[f"{pool}_{key}"] = interval
    return metrics, scored.ratios[select]


def resolve_split(evaluation: Evaluation) -> Evaluation:
    """Resolve the share of the test part if the configuration leaves it open.

    Raises:
        AnalysisError: Nothing can be scored in the test part.
    """
    validation = evaluation.validation
    share = validation.test_share
    if share is None:
        heldout = pq.read_table(
            open_dataset(evaluation.dataset).heldout, columns=["user"]
        )
        listeners = len(np.unique(heldout["user"].to_numpy()))
        share = max(_TEST_SHARE, 1 - _MOST_CHOOSE / max(listeners, 1))
        share = share if listeners * share >= _FEWEST_IN_TEST else 0.0
        if listeners * share > _MOST_TESTED:
            evaluation = replace(evaluation, tested=_MOST_TESTED / listeners)
    decided = validation.model_copy(update={"test_share": share})
    evaluation = replace(evaluation, validation=decided)
    if share:
        # it refuses a test part in which nothing can be scored
        validator_for(replace(evaluation, is_test=True))
    return evaluation


@lru_cache(maxsize=8)
def validator_for(evaluation: Evaluation, pool: Pool = "all") -> Validator:
    """Prepare the process's validator: reading the held-out listening takes longer than a score.

    Raises:
        AnalysisError: No held-out track is in the pool.
    """
    dataset = open_dataset(evaluation.dataset)
    heldout = pq.read_table(dataset.heldout)
    generator = make_generator(evaluation.seed, "test part")
    share = evaluation.validation.test_share or 0
    drawn = generator.random(len(dataset.users))
    is_kept = (
        drawn < (evaluation.tested or share) if evaluation.is_test else drawn >= share
    )
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
        ks=evaluation.validation.ks,
        min_time=evaluation.validation.min_time,
        resamples=RESAMPLES,
        seed=evaluation.seed,
        threads=call_threads(),
    )
