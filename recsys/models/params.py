"""The hyperparameters of the models beside ALS, whose are in `looplib.als`; each is an axis."""

from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field
from pydantic.dataclasses import dataclass

from looplib.config import Count, Positive, Share


@dataclass(frozen=True)
class ActivationParams:
    """The hyperparameters of `recsys.models.repetition.Activation`."""

    decay: Annotated[
        Positive,
        Field(description="how fast a play fades: it counts (plays ago)^-decay"),
    ] = 0.5


@dataclass(frozen=True)
class ItemKnnParams:
    """The hyperparameters of `recsys.models.item_knn.ItemKnn`."""

    neighbours: Annotated[Count, Field(description="nearest tracks kept of each")] = 200
    weighting: Annotated[
        Literal["bm25", "tfidf", "cosine"],
        Field(description="how interactions are weighted before tracks are compared"),
    ] = "bm25"
    k1: Annotated[
        Positive, Field(description="bm25: how soon a large weight counts no more")
    ] = 1.2
    b: Annotated[
        Share,
        Field(description="bm25: how much the plays of popular tracks count less"),
    ] = 0.75


@dataclass(frozen=True)
class BlendParams:
    """The hyperparameters of `recsys.models.blend.Blend`."""

    window: Annotated[
        Count, Field(description="tracks played at most so far apart are close")
    ] = 10
    candidates: Annotated[
        Count, Field(description="new tracks that are considered, from each source")
    ] = 150
    learned_from: Annotated[
        int,
        Ge(100),
        Field(description="listeners whose newest plays it learns from, at most"),
    ] = 5000


@dataclass(frozen=True)
class ListsParams:
    """What names a file of lists of another model."""

    name: str = ""
    digest: str = ""  # of the file


@dataclass(frozen=True)
class FunctionParams:
    """The hyperparameters of `recsys.models.lists.Function`."""

    name: Annotated[
        str, Field(description="an entry point of the group listening_loop.models")
    ] = ""
