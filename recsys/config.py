"""The configuration of a search: data, models, scoring and cluster."""

from collections.abc import Mapping
from os import fspath
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Len, Lt
from pydantic import (
    AwareDatetime,
    BeforeValidator,
    NonNegativeFloat,
    NonNegativeInt,
    model_validator,
)

from analysis.validation import ACCURACY
from looplib.config import Config, Count, Positive, as_tuple
from looplib.rerank import ARTIST, Rerank
from recsys.cluster.config import ClusterConfig
from recsys.dataset.features import CATEGORICAL, FeatureKind
from recsys.models.registry import Axes, read_models

Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
# A folder: a path, or an address such as s3://bucket/folder; `recsys.storage` opens it.
Address = Annotated[
    str,
    BeforeValidator(lambda value: fspath(value) if isinstance(value, Path) else value),
]
# A score takes about as long as an iteration, and a metric changes little within a few.
SCORE_EVERY = 5
Models = Annotated[Mapping[str, Axes], BeforeValidator(read_models)]


SplitKind = Literal["session_hash", "newest", "last_session", "time", "files"]


class Split(Config):
    """The split of whole sessions into training and validation."""

    kind: SplitKind = "session_hash"
    """sessions that are held out: a share by a hash of session and seed; each listener's newest
    sessions, or plays of a table without shares; each listener's last session of at least two; the
    newest of all; or the sessions of published files"""
    holdout: Annotated[float, Gt(0), Lt(1)] = 0.15
    """session_hash, newest, time, files without test: the share held out"""
    gap: NonNegativeInt = 0
    """number of a listener's first held-out plays that are not scored: 0 asks for the plays of now,
    20 for the plays of tomorrow, when the running session is over"""
    until: AwareDatetime | None = None
    """plays from this moment on are left out, such as 2026-05-31T00:00Z"""
    train: Names = ()
    """files: names or patterns of the files to learn from"""
    test: Names = ()
    """files: names or patterns of the files to validate on; without any, a share of train is held
    out, so that a published test set chooses nothing"""

    @model_validator(mode="after")
    def _files_belong_to_files(self) -> "Split":
        if (self.kind == "files") != bool(self.train) or (self.test and not self.train):
            raise ValueError(
                "kind: files needs train, and takes test too; other kinds take neither"
            )
        return self


class Feedback(Config):
    """Sums of listening time or weights by listener and track."""

    min_time: NonNegativeFloat = 0.0
    """leave out events or interactions of less than this"""
    skip: Positive | None = None
    """share of a track, up to 1, or seconds, below which a play is a skip: it adds nothing, and
    `blend` and `live` count it against the track, its artist and other categories"""
    scale: Literal["linear", "log", "binary"] = "linear"
    """log: the sum r becomes log(1 + r); binary: it becomes 1"""


class Search(Config):
    """The strategy and the length of fits."""

    strategy: Literal["grid", "halving"] = "grid"
    """fit every trial to the end, or give up what cannot win"""
    iterations: Count = 15
    """iterations of each fit (ALS: listeners and tracks solved once); it is scored after every 5th,
    more often by halving, and the best scored one counts"""
    expand: bool = False
    """go on beyond an edge of the axes at which the winner is, until the winner is inside, or gains
    less than 1 % or no more than its interval"""
    minutes: Positive = 60.0
    """expand: time after which no added trial goes on, over all runs of the search"""
    trial_minutes: Positive | None = None
    """time limit of a trial's step, which is its fit up to the next score, and the score; a trial
    that takes longer has failed, and its worker is started again"""

    @property
    def scored_iterations(self) -> tuple[int, ...]:
        """The iterations after which a fit is scored, ascending.

        Halving scores after one, two and three, and then after half as many again; other strategies
        after every `SCORE_EVERY`. The last iteration is always scored.

        >>> Search(iterations=12).scored_iterations
        (5, 10, 12)
        >>> Search(strategy="halving").scored_iterations
        (1, 2, 3, 4, 6, 9, 13, 15)
        """
        if self.strategy != "halving":
            regular = range(SCORE_EVERY, self.iterations, SCORE_EVERY)
            return (*regular, self.iterations)
        scored = []
        iteration = 1
        while iteration < self.iterations:
            scored.append(iteration)
            iteration = max(iteration + 1, iteration * 3 // 2)
        return (*scored, self.iterations)


class ValidationConfig(Config):
    """Metrics of a fit on the held-out sessions."""

    ks: Annotated[tuple[Count, ...], Len(1)] = (10, 30)
    """lengths of the lists that are scored"""
    min_time: Positive = 0.5
    """a held-out track of at least this is relevant"""
    filter_seen: bool = False
    """leave tracks that the listener has in training out of lists"""
    select: str = "ndcg@30"
    """the metric of accuracy that chooses, as name@k"""
    test_share: Annotated[float, Ge(0), Lt(1)] | None = None
    """share of the listeners whose held-out sessions choose nothing and estimate the winner; none:
    a fifth if it has at least 200 listeners, or more, so that at most 5,000 choose, and 100,000
    of the others are scored"""

    @property
    def pool(self) -> Literal["all", "new"]:
        """The pool of the lists that are scored."""
        return "new" if self.filter_seen else "all"

    @model_validator(mode="after")
    def _select_is_scored(self) -> "ValidationConfig":
        name, _, k = self.select.partition("@")
        ks = [*map(str, self.ks)]
        if name not in ACCURACY or k not in ks:
            raise ValueError(
                f"select is {self.select}; expected metric@k, the metric one of "
                f"{', '.join(ACCURACY)} and k one of {', '.join(ks)}"
            )
        return self


class ExportConfig(Config):
    """The options of a published version."""

    top: Count = 30
    """recommendations for each listener"""
    filter_seen: bool = False
    """leave out tracks that the listener has already heard"""
    rerank: Rerank = Rerank()
    """make lists less alike, for a price that the search's report tells"""
    learn_from: Literal["all", "training"] = "all"
    """training: leave out the held-out sessions, to replay them; `live` then needs a split by
    order"""
    publish_anyway: bool = False
    """publish a model that is not significantly better than every baseline"""
    live: bool | Literal["anyway"] = False
    """learn from plays in order a ranker for the service's recommender `live`; it is published if
    it is significantly better than simple rules, or anyway"""


class SearchConfig(Config):
    """A whole search."""

    seed: NonNegativeInt = 42
    """seed of all randomness"""
    store: Address
    """the session store: a folder, or an address such as s3://bucket/folder"""
    run: Address
    """the run folder, or its address"""
    catalogue: Path | None = None
    """tracks.json of the catalogue, or tracks.sql, a query of its rows: titles of published lists,
    and artists of tracks, also of tracks that nobody has played yet"""
    features: dict[str, FeatureKind] = {}  # noqa: RUF012  checked, then shared by nobody
    """further columns of the catalogue that `blend` and `live` use, such as `{album: category,
    genres: categories, released: date, tempo: number, embedding: vector}`"""
    unplayed: bool = True
    """recommend tracks that nobody has played, by their artist and features; false for a catalogue
    that is made from the plays, which would know tracks of the future"""
    is_simulated: bool = False
    """the listeners are no people, which the report says"""
    split: Split = Split()
    feedback: Feedback = Feedback()
    models: Models = {"als": {}}  # noqa: RUF012  checked, then shared by nobody
    """values of hyperparameters by the kind of model: every combination is a trial"""
    search: Search = Search()
    validation: ValidationConfig = ValidationConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _features_have_a_catalogue(self) -> "SearchConfig":
        for name in {"track", "artist"} & {*self.features}:
            raise ValueError(f"features: {name} is always used; leave it out")
        categories = {
            name for name, kind in self.features.items() if kind in CATEGORICAL
        }
        for name in self.export.rerank.most_per.keys() - {ARTIST, *categories}:
            raise ValueError(
                f"export.rerank.most_per: {name} is not artist, nor a category of features "
                f"({', '.join(sorted(categories)) or 'none'})"
            )
        if self.features and not self.catalogue:
            raise ValueError("features are columns of a catalogue: set catalogue, too")
        return self
