"""The configuration of a search: what is learned from, what is tried, how it is judged, and where it runs."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import Field, field_validator, model_validator

from analysis.validation import METRICS
from common.config import Config

Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Distance = Annotated[float, Gt(0), Le(2)]  # 1 - cosine


class Split(Config):
    """Which sessions are held out of training; a session is on one side whole."""

    kind: Literal["session_hash", "last_session", "time"] = Field(
        default="session_hash",
        description="session_hash: a share of all sessions, drawn by a hash of the session and the seed; "
        "last_session: each listener's last, of those with at least two; time: the newest sessions",
    )
    holdout: Annotated[float, Gt(0), Lt(1)] = Field(
        default=0.15, description="the share held out, by session_hash and time"
    )


class Feedback(Config):
    """How events become interactions: listening time summed per listener and track."""

    organic: bool = Field(default=True, description="learn from the tracks that open sessions too")
    min_time: Share = Field(default=0.0, description="events heard less than this are left out")
    scale: Literal["linear", "log"] = Field(default="linear", description="log: the sum r becomes log(1 + r)")


class Space(Config):
    """The values that the search combines; each list is one axis of the grid."""

    factors: Annotated[tuple[Count, ...], Len(1)] = (64,)
    regularization: Annotated[tuple[Annotated[float, Ge(0)], ...], Len(1)] = (0.1,)
    alpha: Annotated[tuple[Positive, ...], Len(1)] = Field(
        default=(10.0,), description="an interaction r has the confidence 1 + alpha r"
    )
    cg_steps: Annotated[tuple[Count, ...], Len(1)] = Field(
        default=(3,), description="conjugate-gradient steps for each row and sweep"
    )

    @field_validator("*")
    @classmethod
    def _no_repeats(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"a value stands twice in {list(values)}")
        return values


class Search(Config):
    """What is tried."""

    strategy: Literal["grid", "random"] = "grid"
    trials: Count | None = Field(default=None, description="random: how many combinations of the grid are drawn")
    space: Space = Space()
    sweeps: Count = Field(default=15, description="ALS sweeps (both sides solved once) of each fit")
    score_every: Count = Field(default=5, description="score after every so many sweeps; the best scored sweep counts")

    @model_validator(mode="after")
    def _trials_belong_to_random(self) -> "Search":
        if (self.strategy == "random") != (self.trials is not None):
            raise ValueError("trials is given with strategy: random, and only there")
        return self

    @property
    def scored_sweeps(self) -> tuple[int, ...]:
        """The sweeps after which a fit is scored; the last one always is."""
        return tuple(sorted({*range(self.score_every, self.sweeps + 1, self.score_every), self.sweeps}))


class ValidationConfig(Config):
    """How a fit is judged on the held-out sessions."""

    ks: Annotated[tuple[Count, ...], Len(1)] = (10, 30)
    min_time: Annotated[float, Gt(0), Le(1)] = Field(
        default=0.5, description="a held-out track heard at least this much is relevant"
    )
    organic: bool = Field(default=True, description="count organic tracks among the held-out ones")
    select: str = Field(default="ndcg@30", description="the metric that chooses the winner, as name@k")
    resamples: Annotated[int, Ge(100)] = Field(default=1000, description="bootstrap resamples behind each interval")

    @model_validator(mode="after")
    def _select_is_scored(self) -> "ValidationConfig":
        name, _, k = self.select.partition("@")
        if name not in METRICS or k not in {str(each) for each in self.ks}:
            raise ValueError(
                f"select is {self.select}; expected metric@k, the metric one of {', '.join(METRICS)} "
                f"and k one of {', '.join(str(each) for each in self.ks)}"
            )
        return self


class ClusterConfig(Config):
    """Where the trials run."""

    scheduler: str | None = Field(default=None, description="an existing Dask scheduler; none: processes here")
    workers: Count | None = Field(default=None, description="processes on this machine; none: cores / threads_per_fit")
    threads_per_fit: Count = Field(default=1, description="threads of one fit")
    dashboard: str = Field(default=":0", description="address of the dashboard; :0 takes a free port")


class ExportConfig(Config):
    """What is published."""

    top: Count = Field(default=30, description="recommendations for each listener")
    neighbours: Count = Field(default=30, description="neighbours of each track")
    filter_seen: bool = Field(default=False, description="leave out what the listener has already heard")


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
    store: Path
    run: Path
    split: Split = Split()
    feedback: Feedback = Feedback()
    search: Search = Search()
    validation: ValidationConfig = ValidationConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()
    context: ContextConfig | None = Field(default=None, description="none: the export has no context model")
