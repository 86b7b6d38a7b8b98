"""The configuration of a search: what is learned from, what is tried, how it is scored, and where it runs."""

import re
from collections.abc import Hashable
from os import fspath
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import BeforeValidator, ByteSize, Field, field_validator, model_validator

from analysis.offpolicy import LoggingPolicy
from analysis.validation.validator import METRICS
from looplib.config import Config, Count, Positive, Share

Distance = Annotated[float, Gt(0), Le(2)]  # 1 - cosine
OPE_TIME = "ope_time"  # the off-policy estimate of the listening time of a recommended track

Value = TypeVar("Value", bound=Hashable)

# A folder: a path, or an address such as s3://bucket/folder; `recsys.workspace` opens it.
Address = Annotated[str, BeforeValidator(lambda found: fspath(found) if isinstance(found, Path) else found)]


def _distinct(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"a value stands twice in {list(values)}")
    return values


class Split(Config):
    """Which sessions are held out of training; a session is on one side whole."""

    kind: Literal["session_hash", "last_session", "time", "files"] = Field(
        default="session_hash",
        description="session_hash: a share of all sessions, drawn by a hash of the session and the seed; "
        "last_session: each listener's last, of those with at least two; time: the newest sessions; "
        "files: as published, by the files that the interactions came from",
    )
    holdout: Annotated[float, Gt(0), Lt(1)] = Field(
        default=0.15, description="the share held out, by session_hash and time"
    )
    train: tuple[str, ...] = Field(default=(), description="files: names or patterns of those to learn from")
    test: tuple[str, ...] = Field(default=(), description="files: names or patterns of those to validate on")

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _files_belong_to_files(self) -> "Split":
        if (self.kind == "files") != bool(self.train and self.test) or bool(self.train) != bool(self.test):
            raise ValueError("train and test are both given with kind: files, and only there")
        return self


class Feedback(Config):
    """How events become interactions: listening time, or weights of your own, summed per listener and track."""

    organic: bool = Field(default=True, description="learn from the tracks that open sessions too")
    min_time: Annotated[float, Ge(0)] = Field(
        default=0.0, description="events heard less than this, or interactions that weigh less, are left out"
    )
    skip_time: Share = Field(
        default=0.0,
        description="a recommended track heard less than this was skipped: it adds no listening time, and "
        "search.space.skip_weight says what it is worth",
    )
    scale: Literal["linear", "log"] = Field(default="linear", description="log: the sum r becomes log(1 + r)")


class Space(Config):
    """The values that the search combines; each list is one axis of the grid."""

    factors: Annotated[tuple[Count, ...], Len(1)] = (64,)
    regularization: Annotated[tuple[Annotated[float, Ge(0)], ...], Len(1)] = (0.1,)
    alpha: Annotated[tuple[Positive, ...], Len(1)] = Field(
        default=(10.0,), description="an interaction r has the confidence unobserved_weight + alpha r"
    )
    cg_steps: Annotated[tuple[Count, ...], Len(1)] = Field(
        default=(3,), description="conjugate-gradient steps for each row and sweep"
    )
    solver: Annotated[tuple[Literal["cg", "cholesky"], ...], Len(1)] = Field(
        default=("cg",), description="cg: a few steps towards a row's solution; cholesky: all the way"
    )
    unobserved_weight: Annotated[tuple[Positive, ...], Len(1)] = Field(
        default=(1.0,), description="the confidence of a pair without interaction"
    )
    nu: Annotated[tuple[Annotated[float, Ge(0)], ...], Len(1)] = Field(
        default=(0.0,),
        description="a row that has heard n of N is regularized by (n + unobserved_weight N) to this power",
    )
    spark: Annotated[tuple[bool, ...], Len(1)] = Field(
        default=(False,), description="as in Spark's ALS, a row that has heard n is regularized n-fold"
    )
    skip_weight: Annotated[tuple[Annotated[float, Ge(0)], ...], Len(1)] = Field(
        default=(0.0,), description="confidence that each skip adds to its track's being disliked; see feedback"
    )

    @field_validator("*")
    @classmethod
    def _no_repeats(cls, values: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
        return _distinct(values)

    @model_validator(mode="after")
    def _axes_mean_something_together(self) -> "Space":
        if "cholesky" in self.solver and len(self.cg_steps) > 1:
            raise ValueError("cg_steps means nothing to the solver cholesky; give it one value, or search in two runs")
        if any(self.spark) and (any(self.nu) or set(self.unobserved_weight) != {1}):
            raise ValueError("spark has its own regularization; nu is 0 and unobserved_weight is 1 with it")
        return self


class Halving(Config):
    """Successive halving: all candidates begin, and after each rung the best share of them goes on."""

    eta: Annotated[int, Ge(2)] = Field(default=3, description="one candidate in so many goes on after a rung")
    rungs: Count = Field(default=2, description="cuts before the end; each at eta times the sweeps of the one before")


class Search(Config):
    """What is tried, for how long, and what makes the winner."""

    strategy: Literal["grid", "random", "halving"] = Field(
        default="grid", description="grid and halving try every combination, random draws some; halving gives up early"
    )
    trials: Count | None = Field(default=None, description="random: how many combinations of the grid are drawn")
    space: Space = Space()
    seeds: tuple[Annotated[int, Ge(0)], ...] = Field(
        default=(), description="each combination is fitted once a seed and scored by the mean; none: the run's seed"
    )
    sweeps: Count = Field(default=15, description="ALS sweeps (both sides solved once) of each fit")
    score_every: Count = Field(default=5, description="score after every so many sweeps; the best scored sweep counts")
    patience: Count | None = Field(
        default=None, description="stop a fit after so many scores in a row that are no better; none: never"
    )
    halving: Halving = Halving()
    select: Literal["best", "one_standard_error"] = Field(
        default="best",
        description="best: the largest score; one_standard_error: of the scores not significantly below it the "
        "simplest model's, with the fewest factors, then the fewest sweeps",
    )

    @field_validator("seeds")
    @classmethod
    def _no_repeats(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _distinct(seeds)

    @model_validator(mode="after")
    def _trials_belong_to_random(self) -> "Search":
        if (self.strategy == "random") != (self.trials is not None):
            raise ValueError("trials is given with strategy: random, and only there")
        return self

    @property
    def rungs(self) -> tuple[int, ...]:
        """The sweeps after which halving cuts, ascending; none under other strategies."""
        if self.strategy != "halving":
            return ()
        cuts = {max(1, self.sweeps // self.halving.eta**place) for place in range(1, self.halving.rungs + 1)}
        return tuple(sorted(cuts - {self.sweeps}))

    @property
    def scored_sweeps(self) -> tuple[int, ...]:
        """The sweeps after which a fit is scored: every so many, at each rung, and the last."""
        return tuple(sorted({*range(self.score_every, self.sweeps + 1, self.score_every), *self.rungs, self.sweeps}))


class ValidationConfig(Config):
    """How a fit is scored on the held-out sessions."""

    ks: Annotated[tuple[Count, ...], Len(1)] = (10, 30)
    min_time: Positive = Field(
        default=0.5, description="a held-out track heard at least this much, or of such a weight, is relevant"
    )
    organic: bool = Field(default=True, description="count organic tracks among the held-out ones")
    filter_seen: bool = Field(
        default=False,
        description="score lists without what the listener has in training, as published splits mean it",
    )
    select: str = Field(
        default="ndcg@30",
        description="the metric that chooses the winner, as name@k; ope_time@k: what an experiment would measure",
    )
    logging_policy: LoggingPolicy = Field(
        default="logged",
        description="for ope_time, how a recommendation logged without propensity was drawn; logged: nobody knows, and "
        "it does not count; uniform: any track of the catalogue; uniform-unheard: any not yet heard in the session",
    )
    resamples: Annotated[int, Ge(100)] = Field(default=1000, description="bootstrap resamples behind each interval")

    @model_validator(mode="after")
    def _select_is_scored(self) -> "ValidationConfig":
        name, _, k = self.select.partition("@")
        known = (*METRICS, OPE_TIME)
        if name not in known or k not in {str(each) for each in self.ks}:
            raise ValueError(
                f"select is {self.select}; expected metric@k, the metric one of {', '.join(known)} "
                f"and k one of {', '.join(str(each) for each in self.ks)}"
            )
        return self

    @property
    def select_is_of_listeners(self) -> bool:
        """Whether the choosing metric is a ratio of sums over listeners, so that fits can be compared in pairs."""
        return not self.select.startswith("coverage@")

    @property
    def rival(self) -> str:
        """The metric that the choosing one is held against: the listening time, or where that chooses, the ranking."""
        name, _, k = self.select.partition("@")
        return f"{'ndcg' if name == OPE_TIME else OPE_TIME}@{k}"


class ClusterConfig(Config):
    """Where the trials run: on processes of this machine, or on the workers of a scheduler that already runs."""

    scheduler: str | None = Field(
        default=None, description="an existing Dask scheduler: tcp://HOST:PORT or tls://…; none: processes here"
    )
    workers: Count | None = Field(default=None, description="processes on this machine; none: cores / threads_per_fit")
    threads_per_fit: Count = Field(default=1, description="threads of one fit")
    fit: Literal["whole", "blocks"] = Field(
        default="whole",
        description="whole: each worker fits a trial; blocks: all workers fit one trial, for models too large for one",
    )
    memory_limit: ByteSize | Literal["auto"] = Field(
        default="auto", description="a process here that grows beyond it is killed; auto: its share of memory"
    )
    wait_for_workers_s: Positive = Field(
        default=45.0, description="give up after so many seconds without a single worker"
    )
    dashboard: str = Field(
        default="127.0.0.1:0", description="address of the dashboard of processes here; port 0: any free one"
    )

    @field_validator("scheduler")
    @classmethod
    def _address_has_a_known_protocol(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+/?", address):
            raise ValueError("expected tcp://HOST:PORT or tls://HOST:PORT")
        return address


class ExportConfig(Config):
    """What is published."""

    top: Count = Field(default=30, description="recommendations for each listener")
    neighbours: Count = Field(default=30, description="neighbours of each track")
    filter_seen: bool = Field(default=False, description="leave out what the listener has already heard")
    learn_from: Literal["all", "training"] = Field(
        default="all",
        description="training: leave out the held-out sessions, so that they can say what the lists are worth; "
        "without a context model",
    )


class ContextConfig(Config):
    """The context model that the export adds for the recommender `session_context`."""

    catalogue: Path | None = Field(
        default=None, description="tracks.json of the log, to learn how artists wear out; none: they do not"
    )
    factors: Count = Field(default=40, description="factors of interests and tracks")
    sweeps: Count = Field(default=5, description="ALS sweeps over the final interests")
    rough_sweeps: Count = Field(default=4, description="sweeps over the first guess of interests")
    distance: Distance = Field(default=0.75, description="organic tracks of one interest are at most so far apart")
    coarse_factors: Count = Field(default=20, description="factors of the fit that guesses interests")
    coarse_sweeps: Count = Field(default=4, description="its sweeps")
    coarse_distance: Distance = Field(default=0.5, description="its largest distance within an interest")
    resolution: Annotated[float, Gt(0), Le(0.1)] = Field(default=0.01, description="time is logged in steps of this")

    @model_validator(mode="after")
    def _coarse_is_no_finer(self) -> "ContextConfig":
        if self.coarse_factors > self.factors:
            raise ValueError(f"coarse_factors is {self.coarse_factors}; at most factors, {self.factors}")
        return self


class SearchConfig(Config):
    """A whole search."""

    seed: Annotated[int, Ge(0)] = 42
    store: Address
    run: Address
    catalogue: Path | None = Field(default=None, description="tracks.json of the catalogue: the report shows titles")
    split: Split = Split()
    feedback: Feedback = Feedback()
    search: Search = Search()
    validation: ValidationConfig = ValidationConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()
    context: ContextConfig | None = Field(default=None, description="none: the export has no context model")

    @model_validator(mode="after")
    def _skip_weights_need_skips(self) -> "SearchConfig":
        if any(self.search.space.skip_weight) and not self.feedback.skip_time:
            raise ValueError("search.space.skip_weight needs feedback.skip_time, which says what a skip is")
        return self

    @model_validator(mode="after")
    def _one_standard_error_compares_listeners(self) -> "SearchConfig":
        if self.search.select == "one_standard_error" and not self.validation.select_is_of_listeners:
            raise ValueError("search.select: one_standard_error compares listeners, and coverage is not theirs")
        return self
