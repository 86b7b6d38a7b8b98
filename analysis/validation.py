"""Score top-k recommendations on held-out listening, with 95 % bootstrap intervals over listeners.

Only listeners with held-out listening are scored; recommendations for others are ignored. Most
metrics are a ratio of sums over listeners, defined in
`analysis/sql/validation/listener_metrics.sql`. They are means over the listeners who have a value,
except `hit_time`, in which a listener weighs more if more recommended tracks were heard. A ratio
with a denominator of 0 is 0. The metrics of `catalogue_metrics.sql`, such as coverage, are values
of all lists together and not of a sample, so they have no interval: both ends equal the value. To
add a metric, add its name here and a column in either file.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from analysis import queries
from analysis.errors import AnalysisError
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import AnyIntArray, FloatArray, IntArray

NO_TRACK = -1  # fills up a short list

_HIT_TIME = "hit_time"  # divided by `heard`
# columns of listener_metrics.sql; all but one are means over the listeners with a value
ACCURACY = (
    "ndcg",
    "precision",
    "recall",
    "map",
    "mrr",
    "hit_rate",
    "graded_ndcg",
    _HIT_TIME,
)
# metrics of the lists themselves, more of which is not always better
_LIST_METRICS = ("novelty", "popularity", "artists", "distance", "calibration")
_CATALOGUE_METRICS = ("coverage", "gini")  # columns of catalogue_metrics.sql
_SKIP_RATE = "skip_rate"
_RATIOS = (*ACCURACY, _SKIP_RATE, *_LIST_METRICS)
METRICS = (*_RATIOS, *_CATALOGUE_METRICS)


def align(
    users: AnyIntArray,
    tracks: AnyIntArray,
    *,
    listeners: IntArray,
    depth: int,
) -> IntArray:
    """Arrange recommendation lists by listener, padded with -1; shape (listeners, `depth`).

    Args:
        users: The user of each list, shape (lists,), in any order; users who are not among
            `listeners` are left out.
        tracks: The lists, best first, padded with -1 at the end; shape (lists, any).
        listeners: Ids of the listeners to arrange by, ascending.
        depth: Length of the arranged lists.
    """
    index = np.searchsorted(listeners, users)
    is_listener = listeners[np.minimum(index, len(listeners) - 1)] == users
    aligned = np.full((len(listeners), depth), NO_TRACK, dtype=np.int64)
    best = tracks[is_listener, :depth]
    aligned[index[is_listener], : best.shape[1]] = best
    return aligned


@dataclass(frozen=True)
class Validation:
    """Metrics of recommendations on held-out listening."""

    metrics: Mapping[str, Interval]  # by a key such as "ndcg@30"
    # What each metric of listeners sums and divides by, to compare in pairs; shape
    # (2, listeners), as `Validator.users`
    ratios: Mapping[str, FloatArray] = field(compare=False, repr=False)


class Validator:
    """Scores recommendations on a fixed held-out table, always with the same bootstrap resamples.

    The object is thread-safe: concurrent calls wait for each other. Results by listener are in the
    order of `users`, ascending.
    """

    def __init__(
        self,
        heldout: pa.Table,
        tracks: pa.Table,
        *,
        catalogue_size: int,
        training_listeners: int,
        heard: csr_matrix | None = None,
        ks: Sequence[int] = (10, 30),
        min_time: float = 0.5,
        resamples: int = 1000,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        """Prepare the held-out listening for scoring.

        Args:
            heldout: One row for each pair of listener and track, with columns user, track and time
                (the pair's listening time in the held-out sessions), and if skips are known,
                skipped (1 if every held-out play of the pair is a skip).
            tracks: Columns track; listeners (number of training listeners who heard the track);
                artist (number of the artist, null if unknown).
            catalogue_size: Number of tracks of the catalogue, whose ids are 0 to n - 1.
            training_listeners: Number of listeners in the training sessions.
            heard: Matrix of shape (users, tracks), above 0 if the user heard the track in training.
                Without it calibration is not computed.
            ks: Cut-offs k of the metrics: how many of the best recommendations count.
            min_time: Listening time (share of the track) from which a held-out track is relevant.
            resamples: Number of bootstrap resamples.
            seed: Seed of the bootstrap.
            threads: Number of threads of a query.

        Raises:
            AnalysisError: No held-out pair is relevant.
        """
        self.ks = tuple(sorted(ks))
        self._min_time = min_time
        self._catalogue_size = catalogue_size
        self._training_listeners = training_listeners
        self._heard = heard
        self._lock = threading.Lock()
        if not (heldout["time"].to_numpy() >= min_time).any():
            raise AnalysisError(
                f"nothing to validate on: no held-out track was heard for at least {min_time}; "
                "lower validation.min_time"
            )
        users = heldout["user"].to_numpy()
        self.users, listener = np.unique(users, return_inverse=True)
        skipped = np.zeros(len(heldout), np.bool_)
        if "skipped" in heldout.column_names:
            skipped = heldout["skipped"].to_numpy() > 0
        self._names = [name for name in METRICS if name != _SKIP_RATE or skipped.any()]
        truth = heldout.select(["track", "time"]).append_column("listener", [listener])
        truth = truth.append_column("skipped", [skipped])
        is_new = self._is_new(listener, heldout["track"].to_numpy())
        connection = self._connection = queries.connect(threads=threads)
        connection.register("truth", truth.append_column("is_new", is_new))
        connection.register("tracks", tracks)
        queries.materialize(
            connection,
            "ideals",
            "validation/ideals",
            ks=list(self.ks),
            min_time=min_time,
        )
        # The same for equal held-out users and seed, so that intervals of differences are paired
        self.resamples = bootstrap.Resamples(len(self.users), resamples, seed)

    def score(
        self,
        users: AnyIntArray,
        tracks: AnyIntArray,
        key: str | None = None,
    ) -> Validation:
        """Compute the metrics of recommendation lists, which have the shapes that `align` takes.

        A validated user without a list counts 0. If `key` is given, such as "ndcg@30", only this
        metric is computed.
        """
        names = self._names
        ks = list(self.ks)
        if key:
            name, _, cut_off = key.partition("@")
            names = [name]
            ks = [int(cut_off)]
        lists = align(users, tracks, listeners=self.users, depth=ks[-1])
        ratio_names = [name for name in names if name in _RATIOS]
        catalogue_names = [name for name in names if name in _CATALOGUE_METRICS]
        with self._lock:
            self._connection.register("recommendations", self._recommendations(lists))
            ratios = self._ratios(ratio_names, ks)
            relation = queries.open_rows(
                self._connection,
                "validation/catalogue_metrics",
                ks=ks,
                catalogue_size=self._catalogue_size,
            )
            rows = (
                relation.select("k", *catalogue_names).fetchall()
                if catalogue_names
                else []
            )
        intervals = bootstrap.ratio_intervals(self.resamples, *ratios)
        keys = [f"{name}@{k}" for name in ratio_names for k in ks]
        metrics = dict(zip(keys, intervals, strict=True))
        for position, name in enumerate(catalogue_names, start=1):
            for row in rows:
                metrics[f"{name}@{row[0]}"] = Interval(*[row[position]] * 3)
        sums = ratios.transpose(2, 0, 1)
        return Validation(metrics, dict(zip(keys, sums, strict=True)))

    def _recommendations(self, lists: IntArray) -> pa.Table:
        listener, position = np.nonzero(lists != NO_TRACK)
        track = lists[listener, position]
        columns = {"listener": listener, "rank": position + 1, "track": track}
        return pa.table({**columns, "is_new": self._is_new(listener, track)})

    def _is_new(self, listener: IntArray, track: IntArray) -> pa.Array:
        """Mark recommended tracks that are new to their listener; null without training data."""
        if self._heard is None or not len(track):
            return pa.nulls(len(track), pa.bool_())
        return pa.array(np.ravel(self._heard[self.users[listener], track]) == 0)

    def _ratios(self, names: Sequence[str], ks: Sequence[int]) -> FloatArray:
        """Compute the numerators and denominators of the metrics of listener_metrics.sql.

        Returns:
            Array of shape (2, listeners, metrics x cut-offs), ordered by metric, then cut-off.
        """
        by_listener = queries.open_rows(
            self._connection,
            "validation/listener_metrics",
            ks=list(ks),
            min_time=self._min_time,
            training_listeners=self._training_listeners,
            with_lists=not {*names}.isdisjoint(_LIST_METRICS),
        )
        rows = by_listener.select("k", "heard", *names).to_arrow_table()
        values = np.array([rows[name].to_numpy() for name in names], np.float64)
        weights = (~np.isnan(values)).astype(np.float64)
        if _HIT_TIME in names:
            weights[names.index(_HIT_TIME)] = rows["heard"].to_numpy()
        shape = 2, len(names) * len(ks), len(self.users)
        both = np.stack([np.nan_to_num(values), weights])
        return both.reshape(shape).transpose(0, 2, 1)
