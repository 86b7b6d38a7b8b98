"""Score lists as everything in a search is scored: top-k lists in, metrics with intervals out.

Ranking metrics are defined in `analysis/validation/` and `analysis/sql/validation/`; here a metric
is known by its key alone ("ndcg@30").

`ope_time@k` is the mean listening time of a recommended track when any of the best k is served, all
equally likely: the self-normalised estimate of `analysis.offpolicy` on the held-out sessions, a
ratio of sums over listeners. It is what an experiment measures; ranking metrics reward predicting
the tracks that listeners would have chosen themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.offpolicy.estimate import OffPolicy
from analysis.offpolicy.logged import logged_sessions
from analysis.offpolicy.policies import match_lists
from analysis.validation import Validator
from looplib.arrays import FloatArray, Int32Array, IntArray
from looplib.files import json_digest
from looplib.randomness import make_generator
from recsys.config import AUTO, OPE_TIME, ValidationConfig
from recsys.dataset.dataset import open_dataset
from recsys.errors import SearchError
from recsys.models.topk import NO_TRACK

_TEST_SHARE, _FEWEST_IN_TEST = 0.2, 200  # of the listeners with held-out sessions
Interval = tuple[float, float, float]  # value and the ends of its 95 % interval


@dataclass(frozen=True)
class ListMetrics:
    """Metrics of lists, by their keys, such as "ndcg@30".

    Fits are compared in pairs by the numerator and denominator of each listener: of the choosing
    metric where it is a ratio of sums over listeners, and of `ope_time`.
    """

    metrics: dict[str, Interval]
    warnings: dict[str, str]  # why nothing should be concluded from a metric
    listeners: dict[
        str, FloatArray
    ]  # numerators and denominators, shape (2, listeners)


@dataclass(frozen=True)
class Scorer:
    """The same held-out listening and the same resamples for everything in a search."""

    dataset: str  # address, which ends with the dataset's digest
    validation: ValidationConfig
    seed: int  # decides the resamples
    threads: int  # of a fit and of a score; they change no result
    is_test: bool = False  # scores on the test part, the listeners who choose nothing

    @property
    def digest(self) -> str:
        """Digest of all that a score follows from: scores of equal digests can be compared."""
        validation = self.validation.model_dump(mode="json")
        if not validation["test_share"]:
            # digests of before there was a test part stay what they were
            del validation["test_share"]
        return json_digest(
            {
                "dataset": self.dataset.rpartition("/")[2],
                "validation": validation,
                "seed": self.seed,
            }
        )[:12]


def score_lists(scorer: Scorer, lists: Int32Array, *, is_whole: bool) -> ListMetrics:
    """Score a list for each listener, shape (listeners, ≤ largest k), by every metric, or the choosing one alone."""
    ks, select = scorer.validation.ks, scorer.validation.select
    by_time = select.startswith(f"{OPE_TIME}@")
    missing = (
        max(ks) - lists.shape[1]
    )  # of a catalogue smaller than the largest cut-off
    padded = np.pad(
        lists.astype(np.int64), ((0, 0), (0, max(missing, 0))), constant_values=NO_TRACK
    )
    users = np.arange(len(lists))
    scored = ListMetrics({}, {}, {})
    if is_whole or not by_time:
        validation = validator_for(scorer).score(
            users, padded, None if is_whole else select
        )
        metrics = {
            key: (metric.value, metric.lower, metric.upper)
            for key, metric in validation.metrics.items()
        }
        scored = ListMetrics(
            metrics,
            {},
            {key: parts for key, parts in validation.ratios.items() if key == select},
        )
    if (is_whole or by_time) and (estimator := _estimator_for(scorer)):
        times = _estimate_listening_time(
            estimator, padded, ks if is_whole else [int(select.partition("@")[2])]
        )
        scored = ListMetrics(
            scored.metrics | times.metrics,
            times.warnings,
            scored.listeners | times.listeners,
        )
    return scored


def settle(
    scorer: Scorer, catalogue: int | None, earlier: ValidationConfig | None
) -> Scorer:
    """Decide the metric that chooses and the share of the test part, where the configuration leaves them open.

    The number of tracks of the catalogue may be unknown. What an earlier search in the same run
    folder was configured with and decided stays.

    Raises:
        SearchError: The number of tracks is not known and matters, or the metric that is named
            cannot choose.
    """
    validation = scorer.validation
    if validation.logging_policy != "logged" and catalogue is None:
        raise SearchError(
            f"validation.logging_policy is {validation.logging_policy}, and the store does not know how many tracks "
            "there are: none of its logs came with a collection.json; ingest with one, or use logging_policy: logged"
        )
    scorer = _decide(scorer, test_share=_test_share(scorer, earlier))
    if scorer.validation.test_share:
        validator_for(replace(scorer, is_test=True))
    if validation.select == AUTO:
        named = earlier.select if earlier else AUTO
        by_time, by_rank = (
            _decide(scorer, select=f"{name}@{max(validation.ks)}")
            for name in (OPE_TIME, "ndcg")
        )
        if named.partition("@")[2] not in map(str, validation.ks):
            return by_rank if _why_not(by_time) else by_time
        scorer = _decide(scorer, select=named)
    if reason := _why_not(scorer):
        raise SearchError(f"validation.select is {scorer.validation.select}, {reason}")
    return scorer


def _decide(scorer: Scorer, **decided: object) -> Scorer:
    return replace(scorer, validation=scorer.validation.model_copy(update=decided))


def _test_share(scorer: Scorer, earlier: ValidationConfig | None) -> float:
    """Return the share of the test part: as configured, as before, or by how many listeners there are."""
    if (share := scorer.validation.test_share) is not None:
        return share
    if earlier and earlier.test_share is not None:
        return earlier.test_share
    heldout = pq.read_table(open_dataset(scorer.dataset).heldout, columns=["user"])
    are_many = (
        len(np.unique(heldout["user"].to_numpy())) * _TEST_SHARE >= _FEWEST_IN_TEST
    )
    return _TEST_SHARE if are_many else 0.0


def _why_not(scorer: Scorer) -> str | None:
    """Return why the metric cannot choose; None if it can."""
    select = scorer.validation.select
    if not select.startswith(f"{OPE_TIME}@"):
        return None
    estimator = _estimator_for(scorer)
    if estimator is None:
        return (
            "and no held-out recommendation has a known propensity; log propensities, or state with "
            "validation.logging_policy: uniform that any track of the catalogue was equally likely"
        )
    dataset, ks = open_dataset(scorer.dataset), scorer.validation.ks
    popular: IntArray = dataset.most_popular("train", max(ks)).astype(np.int64)
    found = _estimate_listening_time(
        estimator, np.tile(popular, (len(dataset.users), 1)), ks
    )
    if select not in found.warnings:
        return None
    return (
        f"which cannot choose here: for the popular tracks {found.warnings[select]}; hold out more sessions, or choose "
        "by a ranking metric"
    )


def _estimate_listening_time(
    estimator: OffPolicy, lists: IntArray, ks: Sequence[int]
) -> ListMetrics:
    """Estimate `ope_time@k` of lists, best track first, filled up with -1; shape (listeners, largest k)."""
    matched = match_lists(estimator.sessions, np.arange(len(lists)), lists)
    estimates = {
        f"{OPE_TIME}@{k}": estimator.value(matched.head(k).serve("random")) for k in ks
    }
    return ListMetrics(
        {
            key: (found.snips.value, found.snips.lower, found.snips.upper)
            for key, found in estimates.items()
        },
        {
            key: "; ".join(found.reasons)
            for key, found in estimates.items()
            if found.reasons
        },
        {
            key: np.stack([found.per_listener.times, found.per_listener.weights])
            for key, found in estimates.items()
        },
    )


def _of_part(scorer: Scorer, file: Path) -> pa.Table:
    """Read the rows of a table by user that are of the listeners who choose, or of those who choose nothing."""
    table = pq.read_table(file)
    listeners = len(open_dataset(scorer.dataset).users)
    drawn = make_generator(scorer.seed, "test part").random(listeners) < (
        scorer.validation.test_share or 0
    )
    return table.filter(pa.array((drawn == scorer.is_test)[table["user"].to_numpy()]))


@lru_cache(maxsize=3)
def _estimator_for(scorer: Scorer) -> OffPolicy | None:
    """Prepare the process's estimator of the held-out sessions; None where no propensity is known."""
    dataset, validation = open_dataset(scorer.dataset), scorer.validation
    events = _of_part(scorer, dataset.logged) if dataset.logged.exists() else None
    if not events:
        return None
    sessions = logged_sessions(
        events,
        logging_policy=validation.logging_policy,
        catalogue_size=dataset.summary.tracks,
    )
    return (
        OffPolicy(sessions, resamples=validation.resamples, seed=scorer.seed)
        if sessions.counted.any()
        else None
    )


@lru_cache(maxsize=3)
def validator_for(scorer: Scorer) -> Validator:
    """Prepare the process's validator: reading the held-out listening takes longer than a score."""
    dataset = open_dataset(scorer.dataset)
    popularity = dataset.popularity("train")
    return Validator(
        _of_part(scorer, dataset.heldout),
        pa.table({"track": np.arange(len(popularity)), "listeners": popularity}),
        catalogue_size=dataset.summary.tracks,
        training_listeners=dataset.summary.training_listeners,
        ks=scorer.validation.ks,
        min_time=scorer.validation.min_time,
        resamples=scorer.validation.resamples,
        seed=scorer.seed,
        threads=scorer.threads,
    )
