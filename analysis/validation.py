"""Score top-k recommendations on held-out listening, with 95 % bootstrap intervals over listeners.

The validated listeners are those with a pair in the held-out table; recommendations for others are
ignored. All metrics but coverage (distinct tracks recommended to anyone, as a share of the
catalogue) are a ratio of sums over listeners, defined in
`analysis/sql/validation/listener_metrics.sql`: means over the listeners with a value, and
`hit_time`, in which a listener with more recommended tracks heard weighs more. A ratio without
anything to divide by is 0. Intervals are percentiles; that of coverage is the value ± 1.96
bootstrap standard errors, as a resample has fewer tracks.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.errors import AnalysisError
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import AnyIntArray, FloatArray, IntArray

NO_TRACK = -1  # fills up a short list


def align(
    users: AnyIntArray, tracks: AnyIntArray, *, known: IntArray, depth: int
) -> IntArray:
    """Return the list of each known user, filled up with -1; shape (known users, `depth`).

    Args:
        users: The user of each list, shape (lists,), in any order; others are left out.
        tracks: The lists, best first, filled up with -1 at the end; shape (lists, at least
            `depth`).
        known: The known users, ascending.
        depth: How many of the best recommendations are used.

    Raises:
        AnalysisError: A list is too short, or a user or a track of a list is repeated.
    """
    users, tracks = (
        users.astype(np.int64, copy=False),
        tracks.astype(np.int64, copy=False),
    )
    if tracks.shape[1] < depth:
        raise AnalysisError(
            f"lists of {tracks.shape[1]} recommendations; metrics at {depth} need at least {depth}"
        )
    ordered_users, ordered = np.sort(users), np.sort(tracks, axis=1)
    if (twice := ordered_users[1:][ordered_users[1:] == ordered_users[:-1]]).size:
        raise AnalysisError(
            f"user {twice[0]} has more than one list of recommendations"
        )
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_TRACK)
    if repeated.any():
        user = users[np.nonzero(repeated)[0][0]]
        raise AnalysisError(f"recommendations of user {user}: a track more than once")
    index = np.searchsorted(known, users)
    is_known = known[np.minimum(index, len(known) - 1)] == users
    aligned = np.full((len(known), depth), NO_TRACK, dtype=np.int64)
    aligned[index[is_known]] = tracks[is_known, :depth]
    return aligned


# Metric → columns of listener_metrics.sql: what is summed, and what it is divided by; None: the
# listeners with a value.
_RATIOS: dict[str, tuple[str, str | None]] = {
    "ndcg": ("ndcg", None),
    "precision": ("precision", None),
    "recall": ("recall", None),
    "map": ("average_precision", None),
    "mrr": ("reciprocal_rank", None),
    "hit_rate": ("hit", None),
    "graded_ndcg": ("graded_ndcg", None),
    "hit_time": ("heard_time", "heard"),
    "novelty": ("novelty", None),
}
METRICS = (*_RATIOS, "coverage")


@dataclass(frozen=True)
class Validation:
    """What recommendations are worth on held-out listening."""

    metrics: Mapping[str, Interval]  # by a key such as "ndcg@30"
    # What each metric but coverage sums and divides by, to compare in pairs; shape (2, listeners),
    # as `Validator.users`
    ratios: Mapping[str, FloatArray] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Settings:
    """How recommendations are scored."""

    ks: Sequence[int] = (10, 30)  # cut-offs: how many of the best recommendations count
    # listening time from which a held-out track is relevant, share of the track
    min_time: float = 0.5
    resamples: int = 1000  # bootstrap resamples
    seed: int = 0  # of the run
    threads: int = 1  # of a query


class Validator:
    """Scores recommendations against one held-out table, always on the same bootstrap resamples.

    Calls from several threads wait for one another. Results over listeners are in the order of
    `users`, ascending.
    """

    def __init__(
        self,
        heldout: pa.Table,
        popularity: pa.Table,
        *,
        catalogue_size: int,
        training_listeners: int,
        settings: Settings,
    ) -> None:
        """Index the held-out listening.

        Args:
            heldout: Columns user, track, time (the pair's listening time in the held-out sessions),
                one row a pair.
            popularity: Columns track and listeners, the training listeners who heard it; a track
                that is absent was heard by nobody.
            catalogue_size: Tracks of the catalogue; ids are 0 to one less.
            training_listeners: Listeners of the training sessions.
            settings: How recommendations are scored.

        Raises:
            AnalysisError: No pair is relevant.
        """
        self.ks = tuple(sorted(settings.ks))
        self._min_time = settings.min_time
        self._catalogue_size = catalogue_size
        self._training_listeners = training_listeners
        self._lock = threading.Lock()
        if not (heldout["time"].to_numpy() >= settings.min_time).any():
            raise AnalysisError(
                f"nothing to validate on: no held-out track was heard for at least {settings.min_time}"
            )
        self.users, listener = np.unique(
            heldout["user"].to_numpy(), return_inverse=True
        )
        self._connection = connection = queries.connect(threads=settings.threads)
        queries.attach_arrow(
            connection, "truth", heldout.add_column(0, "listener", [listener])
        )
        queries.attach_arrow(connection, "popularity", popularity)
        queries.materialize(
            connection,
            "ideals",
            "validation/ideals",
            ks=list(self.ks),
            min_time=settings.min_time,
        )
        # The same for equal held-out users and seed, so that intervals of differences are paired
        self.resamples = bootstrap.Resamples(
            len(self.users), settings.resamples, settings.seed
        )

    def score(
        self, users: AnyIntArray, tracks: AnyIntArray, key: str | None = None
    ) -> Validation:
        """Score lists as `align` takes them, each at least as long as the largest k.

        A validated user without a list counts 0. `key`, such as "ndcg@30", asks for this metric
        alone.

        Raises:
            AnalysisError: The lists cannot be used.
        """
        name, _, k_of_key = (key or "").partition("@")
        ks = [int(k_of_key)] if key else list(self.ks)
        names = [known for known in _RATIOS if known == name or not key]
        lists = align(users, tracks, known=self.users, depth=ks[-1])
        listeners, columns = np.nonzero(lists != NO_TRACK)
        listed = lists[listeners, columns]
        entries = pa.table(
            {"listener": listeners, "rank": columns + 1, "track": listed}
        )
        keys, ratios = (
            [f"{known}@{k}" for known in names for k in ks],
            self._ratios(entries, names, ks),
        )
        of_ks = (
            np.flatnonzero(columns < k) for k in ks if name == "coverage" or not key
        )
        by_track = [of_k[np.argsort(listed[of_k])] for of_k in of_ks]
        distinct = [
            bootstrap.Distinct(listeners[of_k], listed[of_k]) for of_k in by_track
        ]
        of_ratios, *of_distinct = bootstrap.estimate(self.resamples, ratios, *distinct)
        metrics = dict(
            zip(keys, bootstrap.intervals(ratios.whole, of_ratios), strict=True)
        )
        for k, of_k, counts in zip(ks, by_track, of_distinct, strict=False):
            value = len(np.unique(listed[of_k])) / self._catalogue_size
            ends = bootstrap.normal_interval(value, counts / self._catalogue_size)
            metrics[f"coverage@{k}"] = Interval(value, *ends)
        both = np.stack([ratios.numerators.T, ratios.denominators.T], axis=1)
        return Validation(metrics, dict(zip(keys, both, strict=True)))

    def _ratios(
        self, recommendations: pa.Table, names: Sequence[str], ks: Sequence[int]
    ) -> bootstrap.Ratios:
        """Return metrics that listener_metrics.sql defines; columns by metric, then cut-off."""
        wanted = dict.fromkeys(
            column for name in names for column in _RATIOS[name] if column
        )
        with self._lock:
            queries.attach_arrow(self._connection, "recommendations", recommendations)
            facts = {
                "training_listeners": self._training_listeners,
                "with_novelty": "novelty" in wanted,
            }
            parameters = {"ks": ks, "min_time": self._min_time, **facts}
            found = queries.open_rows(
                self._connection, "validation/listener_metrics", **parameters
            )
            rows = found.select("k", *wanted).to_arrow_table()
        numerators, denominators = [], []
        for column, weight in map(_RATIOS.__getitem__, names):
            values = rows[column].to_numpy().astype(np.float64)
            concerned = ~np.isnan(values)
            numerators.append(np.where(concerned, values, 0.0))
            denominators.append(
                (concerned if weight is None else rows[weight].to_numpy()).astype(
                    np.float64
                )
            )
        shape = len(ks) * len(names), len(self.users)
        both = (
            np.asarray(columns, np.float64).reshape(shape).T
            for columns in (numerators, denominators)
        )
        return bootstrap.Ratios(*both)
