"""The configuration of a search: data, what is tried, how it is scored, and where it runs."""

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

from analysis.validation import METRICS
from looplib.config import Config, Count, Positive, as_tuple
from recsys.cluster.config import ClusterConfig
from recsys.models.registry import Axes, read_models

Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
# A folder: a path, or an address such as s3://bucket/folder; `recsys.storage` opens it.
Address = Annotated[
    str,
    BeforeValidator(lambda value: fspath(value) if isinstance(value, Path) else value),
]
Models = Annotated[Mapping[str, Axes], BeforeValidator(read_models)]


class Split(Config):
    """Which sessions are held out of training; a session is in one part whole."""

    kind: Literal["session_hash", "newest", "last_session", "time", "files"] = (
        "session_hash"
    )
    """held out is a share by a hash of session and seed; each listener's newest sessions, or plays
    of a table without shares; each listener's last session of at least two; the newest of all; or
    what published files say"""
    holdout: Annotated[float, Gt(0), Lt(1)] = 0.15
    """session_hash, newest, time, files without test: the share held out"""
    gap: NonNegativeInt = 0
    """a listener's first held-out plays that are not scored: 0 asks what is played now, 20 what is
    played tomorrow, when the running session is over"""
    until: AwareDatetime | None = None
    """leave out what was played then or later, such as 2026-05-31T00:00Z"""
    train: Names = ()
    """files: names or patterns of those to learn from"""
    test: Names = ()
    """files: names or patterns of those to validate on; without any, a share of train is held out,
    so that a published test set chooses nothing"""

    @model_validator(mode="after")
    def _files_belong_to_files(self) -> "Split":
        if (self.kind == "files") != bool(self.train) or (self.test and not self.train):
            raise ValueError(
                "kind: files needs train, and takes test too; other kinds take neither"
            )
        return self


class Feedback(Config):
    """How events become interactions: listening time or weights, summed per listener and track."""

    min_time: NonNegativeFloat = 0.0
    """leave out events or interactions of less than this"""
    scale: Literal["linear", "log"] = "linear"
    """log: the sum r becomes log(1 + r)"""


class Search(Config):
    """How the trials are fitted, and for how long."""

    strategy: Literal["grid", "halving"] = "grid"
    """fit every trial to the end, or give up what cannot win"""
    iterations: Count = 15
    """iterations of each fit (ALS: listeners and tracks solved once)"""
    score_every: Count = 5
    """score after every so many iterations, more often by halving; the best scored one counts"""
    expand: bool = False
    """go on beyond an edge of the axes at which the winner is, until it is inside, or gains less
    than 1 % or no more than its interval"""
    expand_trials: Count = 16
    """expand: how many trials are added at most"""
    minutes: Positive = 60.0
    """expand: no added trial goes on after so many minutes of the search, over all its runs"""

    @property
    def scored_iterations(self) -> tuple[int, ...]:
        """The iterations after which a fit is scored, ascending.

        Halving scores after one, two and three, and then after half as many again; other strategies
        after every `score_every`. The last iteration is always scored.

        >>> Search(iterations=12).scored_iterations
        (5, 10, 12)
        >>> Search(strategy="halving").scored_iterations
        (1, 2, 3, 4, 6, 9, 13, 15)
        """
        if self.strategy != "halving":
            regular = range(self.score_every, self.iterations, self.score_every)
            return (*regular, self.iterations)
        scored = []
        iteration = 1
        while iteration < self.iterations:
            scored.append(iteration)
            iteration = max(iteration + 1, iteration * 3 // 2)
        return (*scored, self.iterations)


class ValidationConfig(Config):
    """How a fit is scored on the held-out sessions."""

    ks: Annotated[tuple[Count, ...], Len(1)] = (10, 30)
    """lengths of the lists that are scored"""
    min_time: Positive = 0.5
    """a held-out track of at least this is relevant"""
    filter_seen: bool = False
    """leave out of lists what the listener has in training"""
    select: str = "ndcg@30"
    """the metric that chooses, as name@k, any but coverage"""
    test_share: Annotated[float, Ge(0), Lt(1)] | None = None
    """share of the listeners whose held-out sessions choose nothing, and say what the winner is
    worth; none: a fifth, if these are at least 200, and so many that no more than 5,000 choose"""
    resamples: Annotated[int, Ge(100)] = 1000
    """bootstrap resamples behind each interval"""

    @property
    def pool(self) -> Literal["all", "new"]:
        """Which tracks the lists are made of."""
        return "new" if self.filter_seen else "all"

    @model_validator(mode="after")
    def _select_is_scored(self) -> "ValidationConfig":
        name, _, k = self.select.partition("@")
        # listeners do not add up to coverage, so fits cannot be compared in pairs by it
        metrics = [*METRICS]
        metrics.remove("coverage")
        ks = [*map(str, self.ks)]
        if name not in metrics or k not in ks:
            raise ValueError(
                f"select is {self.select}; expected metric@k, the metric one of "
                f"{', '.join(metrics)} and k one of {', '.join(ks)}"
            )
        return self


class ExportConfig(Config):
    """What is published."""

    top: Count = 30
    """recommendations for each listener"""
    filter_seen: bool = False
    """leave out what the listener has already heard"""
    learn_from: Literal["all", "training"] = "all"
    """training: leave out the held-out sessions, to value the lists or to replay them; `live` then
    needs a split by order"""
    split: Split | None = None
    """training: another split than that of the search, such as {kind: time, holdout: 0.2}"""
    publish_anyway: bool = False
    """publish a model that is not significantly better than every baseline"""
    live: bool = False
    """learn from plays in order a ranker for the service's recommender `live`; it is published if
    it is significantly better than simple rules"""


class SearchConfig(Config):
    """A whole search."""

    seed: NonNegativeInt = 42
    """of all randomness"""
    store: Address
    """the session store: a folder, or an address such as s3://bucket/folder"""
    run: Address
    """what the search leaves: a folder or an address"""
    catalogue: Path | None = None
    """tracks.json of the catalogue: titles of the lists that are published, and the artists of
    tracks, also of those that nobody has played yet"""
    is_simulated: bool = False
    """the listeners are no people, which the report says"""
    split: Split = Split()
    feedback: Feedback = Feedback()
    models: Models = {"als": {}}  # noqa: RUF012  checked, then shared by nobody
    """what is tried, by the kind of model: of each, every combination of the values of its
    hyperparameters"""
    lists: Mapping[str, Path] = {}
    """lists of other models, by name: user, item, and rank or score (Parquet); they are scored
    beside what is fitted"""
    search: Search = Search()
    validation: ValidationConfig = ValidationConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()
