"""The configuration of a search: data, what is tried, how it is scored, and where it runs."""

from collections.abc import Hashable, Mapping
from os import fspath
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    get_type_hints,
)

from annotated_types import Ge, Gt, Len, Lt
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    create_model,
    model_validator,
)

from analysis.validation import METRICS
from looplib.als import AlsParams, NonNegative
from looplib.config import Config, Count, Positive
from recsys.cluster.config import ClusterConfig
from recsys.models.params import (
    ActivationParams,
    BlendParams,
    FunctionParams,
    ItemKnnParams,
)

# the off-policy estimate of the listening time of a recommended track
OPE_TIME = "ope_time"

Value = TypeVar("Value", bound=Hashable)


def _as_list(found: object) -> object:
    """Return a single value as a list of one."""
    return found if isinstance(found, (list, tuple)) else (found,)


def _distinct(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"a value stands twice in {list(values)}")
    return values


Axis = Annotated[
    tuple[Value, ...], BeforeValidator(_as_list), Len(1), AfterValidator(_distinct)
]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
# A folder: a path, or an address such as s3://bucket/folder; `recsys.workspace` opens it.
Address = Annotated[
    str,
    BeforeValidator(lambda found: fspath(found) if isinstance(found, Path) else found),
]


class Split(Config):
    """Which sessions are held out of training; a session is on one side whole."""

    kind: Literal["session_hash", "newest", "last_session", "time", "files"] = Field(
        default="session_hash",
        description="held out is a share by a hash of session and seed; each listener's newest "
        "sessions, or plays of a table without shares; each listener's last session of at least "
        "two; the newest of all; or what published files say",
    )
    holdout: Annotated[float, Gt(0), Lt(1)] = Field(
        default=0.15,
        description="session_hash, newest, time, files without test: the share held out",
    )
    train: Names = Field(
        default=(), description="files: names or patterns of those to learn from"
    )
    test: Names = Field(
        default=(),
        description="files: names or patterns of those to validate on; without any, a share "
        "of train is held out, so that a published test set chooses nothing",
    )

    @model_validator(mode="after")
    def _files_belong_to_files(self) -> "Split":
        if (self.kind == "files") != bool(self.train) or (self.test and not self.train):
            raise ValueError(
                "kind: files needs train, and takes test too; other kinds take neither"
            )
        return self


class Feedback(Config):
    """How events become interactions: listening time or weights, summed per listener and track."""

    gone: ClassVar = {
        "skip_time": "a skip adds no listening time, which is all that counts",
        "organic": "all that was heard counts",
    }

    min_time: NonNegative = Field(
        default=0.0, description="leave out events or interactions of less than this"
    )
    scale: Literal["linear", "log"] = Field(
        default="linear", description="log: the sum r becomes log(1 + r)"
    )


class _Axes(Config):
    """The values that the search combines; each list is one axis of the grid."""

    gone: ClassVar = {
        "spark": "frequency-scaled regularization, nu: 1, comes nearest to Spark's",
        "solver": "rows are solved by cg; cg_steps: as many as factors goes all the way",
        "skip_weight": "a skip adds no listening time, which is all that counts",
    }


def _make_space(name: str, params: type) -> type[_Axes]:
    """Make an axis of each hyperparameter, by default of its default alone."""
    allowed = get_type_hints(params, include_extras=True)
    axes: dict[str, Any] = {}
    known = params.__pydantic_fields__  # type: ignore[attr-defined]  # set by pydantic
    for axis_name, parameter in known.items():
        axis = Field(default=(parameter.default,), description=parameter.description)
        axes[axis_name] = (Axis[allowed[axis_name]], axis)  # type: ignore[valid-type]  # made here
    return create_model(name, __base__=_Axes, **axes)


if TYPE_CHECKING:

    class Space(_Axes):
        """What `_make_space` makes, for a type checker."""

        def __init__(self, **axes: object) -> None:
            """Take the values of each axis, or one value."""

    ActivationSpace = Space
    ItemKnnSpace = Space
    BlendSpace = Space
    FunctionSpace = Space
else:
    Space = _make_space("Space", AlsParams)
    ActivationSpace = _make_space("ActivationSpace", ActivationParams)
    ItemKnnSpace = _make_space("ItemKnnSpace", ItemKnnParams)
    BlendSpace = _make_space("BlendSpace", BlendParams)
    FunctionSpace = _make_space("FunctionSpace", FunctionParams)


class Models(Config):
    """The kinds of model that are tried beside ALS; of each, every combination of its values."""

    activation: ActivationSpace | None = Field(
        default=None, description="what was played often and lately is played again"
    )
    item_knn: ItemKnnSpace | None = Field(
        default=None, description="what is near to the tracks heard"
    )
    blend: BlendSpace | None = Field(
        default=None,
        description="what is played again and what is new, by the probability of being played",
    )
    function: FunctionSpace | None = Field(
        default=None, description="what a function of another package returns"
    )


class Search(Config):
    """What is tried, and for how long."""

    gone: ClassVar = {
        "trials": "halving gives up what cannot win any more: strategy: halving",
        "select": "the best wins, and the leaderboard says what is tied with it",
        "halving": "halving gives up what cannot win any more, not a share of the trials",
    }

    strategy: Literal["grid", "halving"] = Field(
        default="grid",
        description="fit every combination to the end, or give up what cannot win",
    )
    space: Space = Space()
    models: Models = Models()
    sweeps: Count = Field(
        default=15, description="ALS sweeps (both sides solved once) of each fit"
    )
    score_every: Count = Field(
        default=5,
        description="score after every so many sweeps, more often by halving; the best scored "
        "sweep counts",
    )
    widen: bool = Field(
        default=False,
        description="go on beyond an edge of the space at which the winner is, until it is inside "
        "or gains no more than its interval",
    )
    widen_trials: Count = Field(
        default=16,
        description="widen: how many trials are added at most; one of twice as many factors as "
        "any of the space counts twice, and so on",
    )

    @property
    def axes(self) -> dict[str, dict[str, tuple[Any, ...]]]:
        """The values to combine of each hyperparameter, by the kind of model."""
        return {
            "als": self.space.model_dump(),
            **self.models.model_dump(exclude_none=True),
        }

    @property
    def scored_sweeps(self) -> tuple[int, ...]:
        """The sweeps after which a fit is scored, ascending.

        Halving scores after one, two and three, and then after half as many again; other strategies
        after every `score_every`. The last sweep is always scored.
        """
        if self.strategy != "halving":
            regular = range(self.score_every, self.sweeps, self.score_every)
            return (*regular, self.sweeps)
        scored = []
        sweep = 1
        while sweep < self.sweeps:
            scored.append(sweep)
            sweep = max(sweep + 1, sweep * 3 // 2)
        return (*scored, self.sweeps)


class ValidationConfig(Config):
    """How a fit is scored on the held-out sessions."""

    gone: ClassVar = {"organic": "all that was heard counts"}

    # lengths of the lists that are scored
    ks: Annotated[tuple[Count, ...], Len(1)] = (10, 30)
    min_time: Positive = Field(
        default=0.5, description="a held-out track of at least this is relevant"
    )
    filter_seen: bool = Field(
        default=False,
        description="leave out of lists what the listener has in training",
    )
    select: str = Field(
        default="ndcg@30",
        description="the metric that chooses, as name@k, any but coverage; "
        "ope_time@k: what an experiment would measure",
    )
    test_share: Annotated[float, Ge(0), Lt(1)] | None = Field(
        default=None,
        description="share of the listeners whose held-out sessions choose nothing, and say "
        "what the winner is worth; none: a fifth, if these are at least 200",
    )
    logging_policy: Literal["logged", "uniform"] = Field(
        default="logged",
        description="ope_time: how a recommendation without propensity was drawn; logged: "
        "unknown, it does not count; uniform: from the catalogue",
    )
    resamples: Annotated[int, Ge(100)] = Field(
        default=1000, description="bootstrap resamples behind each interval"
    )

    @property
    def pool(self) -> Literal["all", "new"]:
        """Which tracks the lists are made of."""
        return "new" if self.filter_seen else "all"

    @model_validator(mode="after")
    def _select_is_scored(self) -> "ValidationConfig":
        name, _, k = self.select.partition("@")
        # listeners do not add up to coverage, so fits cannot be compared in pairs by it
        metrics = [*METRICS, OPE_TIME]
        metrics.remove("coverage")
        ks = [str(known) for known in self.ks]
        if name not in metrics or k not in ks:
            raise ValueError(
                f"select is {self.select}; expected metric@k, the metric one of "
                f"{', '.join(metrics)} and k one of {', '.join(ks)}"
            )
        return self


class ExportConfig(Config):
    """What is published."""

    gone: ClassVar = {
        "neighbours": "factors.npz has what is near; the service ranks by it"
    }

    top: Count = Field(default=30, description="recommendations for each listener")
    filter_seen: bool = Field(
        default=False, description="leave out what the listener has already heard"
    )
    learn_from: Literal["all", "training"] = Field(
        default="all",
        description="training: leave out the held-out sessions, to value the lists; "
        "no next-track model",
    )
    publish_anyway: bool = Field(
        default=False,
        description="publish a model that is not significantly better than every baseline",
    )


class NextTrackConfig(Config):
    """The next-track model that the export adds for the recommender `next_track`."""

    window: Count = Field(
        default=20, description="tracks of a session at most so far apart are close"
    )
    neighbours: Count = Field(
        default=100, description="near tracks kept of each track and listener"
    )


class SearchConfig(Config):
    """A whole search."""

    seed: Annotated[int, Ge(0)] = 42  # of all randomness
    # the session store: a folder, or an address such as s3://bucket/folder
    store: Address
    run: Address  # what the search leaves: a folder or an address
    catalogue: Path | None = Field(
        default=None,
        description="tracks.json of the catalogue: titles of the lists that are published, and "
        "the artists of tracks, also of those that nobody has played yet",
    )
    split: Split = Split()
    feedback: Feedback = Feedback()
    lists: Mapping[str, Path] = Field(
        default={},
        description="lists of other models, by name: user, item, and rank or "
        "score (Parquet); they are scored beside what is fitted",
    )
    search: Search = Search()
    validation: ValidationConfig = ValidationConfig()
    cluster: ClusterConfig = ClusterConfig()
    export: ExportConfig = ExportConfig()
    # none: the export has no next-track model
    next_track: NextTrackConfig | None = None
