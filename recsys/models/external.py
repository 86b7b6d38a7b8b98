"""Models of other libraries, and of the user's own package, by the path of their class.

Lists are ranked here, from factors, similarities or scores, so the filters and the padding of a
library have no effect. `libraries` makes and fits the objects.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import (
    NO_TRACK,
    AnyFloatArray,
    BoolArray,
    Float32Array,
    Int32Array,
    IntArray,
)
from looplib.config import Config
from recsys.dataset.interactions import Interactions
from recsys.errors import TrialError
from recsys.models.base import Model
from recsys.models.factors import Factors, Pool
from recsys.models.libraries import (
    Scores,
    check_class,
    check_code,
    class_path,
    describe_code,
    describe_error,
    fit_object,
    load_class,
    make,
    read_arrays,
    score_tracks,
    uses_gpu,
)
from recsys.models.similarity import SimilarityModel

CLASS = "class"  # the key of the path
# The key of versions and digests. No hyperparameter begins like this, as `class` is a keyword.
CODE = "class.code"
_ROWS = 256  # listeners whose scores of all tracks are in memory at once


def select_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Select the hyperparameters of a class among the parameters of its trial."""
    reserved = {CLASS, CODE}
    return {name: value for name, value in params.items() if name not in reserved}


def describe_class(
    name: str, axes: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """Check a class before a search, and add the versions of its code as an axis.

    Args:
        name: Name of the model, for errors.
        axes: The path of the class, and values of hyperparameters.

    Raises:
        SearchError: The class cannot be imported or made.
    """
    (path,) = axes[CLASS]
    params = select_params({axis: values[0] for axis, values in axes.items()})
    if not uses_gpu(path, params):
        check_class(name, path, params)
    return {**axes, CODE: (describe_code(path),)}


class ExternalConfig(Config, extra="allow"):
    """The path of a class, its code, and its hyperparameters with any names."""


class External(SimilarityModel):
    """A class of another package, or of the user's own."""

    name = "external"
    config: ExternalConfig
    similarity: Any  # shape (tracks, tracks), sparse or dense
    fitted: Any  # the object of the class
    shipped: Callable[..., Any] | None = (
        None  # the class, if it cannot be imported here
    )
    _factors: Factors | None = None
    _scores: Scores | None = None

    def __init__(self, config: Config | None = None, **params: Any) -> None:  # noqa: ANN401
        """Take the path, as `class`, and the hyperparameters."""
        super().__init__(config, **params)
        params = self.config.model_dump()
        self.path: str = params[CLASS]
        self._code: str | None = params.get(CODE)
        self._params = select_params(params)

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Fit an object of the class; see `Model.fit`.

        Raises:
            ImportError: The class cannot be imported, or its code is not the code of the search.
            TrialError: It raises an error, or its arrays do not fit the interactions.
        """
        made = self.shipped or load_class(self.path)
        if self._code and not self.shipped:
            check_code(self.path, self._code)
        super().fit(train, seed=seed, threads=threads)
        matrix = train.matrix.copy()  # the original is mapped from the disk
        # Dask's workers are daemons, which may start no processes
        multiprocessing.current_process().daemon = False
        with self._library():
            fitted = make(made, self._params, matrix, seed=seed, threads=threads)
            scores = fit_object(fitted, matrix, seed, threads)
            return self.adopt(fitted, scores)

    def adopt(self, fitted: object, scores: Scores | None = None) -> Self:
        """Adopt the arrays of a fitted object, or the function that scores."""
        matrix = self.train.matrix
        tracks = matrix.shape[1]
        users, items, similarity = read_arrays(fitted)
        if users is not None and items is not None:
            user_factors = _check(users, matrix.shape[0], self.train.counts == 0)
            item_factors = _check(items, tracks)
            widths = user_factors.shape[1], item_factors.shape[1]
            if widths[0] != widths[1]:
                raise ValueError("{} factors of users and {} of items".format(*widths))
            self._factors = Factors(user_factors, item_factors)
        elif hasattr(similarity, "tocsr"):
            self.similarity = csr_matrix(similarity.astype(np.float32))
            _check(self.similarity.data[:, np.newaxis], self.similarity.nnz)
        elif similarity is not None:
            weights = _check(similarity, tracks)
            self.similarity = weights
            scores = scores or (lambda rows: matrix[rows] @ weights)
        elif scores is None:
            scores = score_tracks(fitted, matrix)
        self.fitted = fitted
        self._scores = scores
        return self

    @property
    def factors(self) -> Factors | None:
        """The vectors of listeners and tracks; None of a class without."""
        return self._factors

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend the tracks with the best scores."""
        if self._scores:
            return self._rank(self._scores, k, pool, listeners)
        if self._factors:
            train, threads = self.train, self.threads
            return self._factors.recommend(train, k, threads, pool, listeners)
        return super().recommend(k, pool, listeners)

    def score(self, places: csr_matrix) -> AnyFloatArray:
        """Score tracks by factors or sparse similarities; see `Model.score`."""
        if self._scores or self._factors:
            return Model.score(self, places)
        return super().score(places)

    def _rank(
        self, score: Scores, k: int, pool: Pool, listeners: IntArray | None
    ) -> Int32Array:
        matrix = self.train.matrix
        asked = np.arange(matrix.shape[0]) if listeners is None else listeners
        lists = np.empty((len(asked), min(k, matrix.shape[1])), np.int32)
        for first in range(0, len(asked), _ROWS):
            rows = asked[first : first + _ROWS]
            heard = matrix[rows].toarray() > 0
            is_cold = self.train.counts[rows] == 0
            with self._library():
                scores = _check(score(rows), len(rows), is_cold, is_finite=False)
                if pool != "all":
                    scores[heard == (pool == "new")] = -np.inf
                scores[is_cold] = -np.inf
            lists[first : first + _ROWS] = _take_best(scores, lists.shape[1])
        return lists if pool == "repeat" else self.fill_up(lists, listeners)

    def similar(self, tracks: IntArray, k: int) -> Int32Array:
        """Rank the other tracks most similar to each of some, shape (tracks given, ≤ k)."""
        if self._factors:
            return self._factors.similar(tracks, k, self.threads)[0]
        return super().similar(tracks, k)

    @contextmanager
    def _library(self) -> Iterator[None]:
        """Limit the threads of a library's code, hide its progress, name its class in errors."""
        # implicit asks for a single thread of BLAS
        limits = {"blas": 1, "openmp": self.threads}
        try:
            with threadpool_limits(limits), redirect_stdout(StringIO()):
                yield
        except (Exception, SystemExit) as error:  # libraries raise any kind
            raise TrialError(f"{self.path}: {describe_error(error)}") from error


def adopt_model(fitted: object, train: Interactions, threads: int) -> External:
    """Make a model of an object that is fitted to the interactions already.

    Raises:
        TrialError: Its arrays do not fit the interactions.
    """
    model = External(ExternalConfig(**{CLASS: class_path(type(fitted))}))
    Model.fit(model, train, seed=0, threads=threads)
    with model._library():
        return model.adopt(fitted)


def _check(
    array: Any,  # noqa: ANN401  of any library
    rows: int,
    is_cold: BoolArray | None = None,
    *,
    is_finite: bool = True,
) -> Float32Array:
    """Copy an array, and check its rows and numbers.

    Numbers of cold listeners may be NaN; -inf is allowed unless all numbers have to be finite.

    Raises:
        ValueError: The array has other rows, or a number that is not allowed.
    """
    checked = np.array(
        array.toarray() if hasattr(array, "toarray") else array, np.float32
    )
    if checked.ndim != 2 or len(checked) != rows:
        raise ValueError(f"{rows} rows are expected, its array is {checked.shape}")
    if is_cold is not None:
        checked[is_cold] = np.nan_to_num(checked[is_cold])
    is_bad = ~np.isfinite(checked) if is_finite else ~(checked < np.inf)
    if is_bad.any():
        raise ValueError(f"{is_bad.sum()} of its numbers are NaN or infinite")
    return checked


def _take_best(scores: Float32Array, k: int) -> Int32Array:
    """Rank the k best columns of each row; the smaller of equal columns mostly comes first."""
    best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.where(values > -np.inf, best, NO_TRACK)
    lists: Int32Array = np.take_along_axis(ranked, order, axis=1).astype(np.int32)
    return lists
