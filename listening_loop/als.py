"""The ALS of the library `implicit`, with this project's solver and ranking.

    from listening_loop import AlternatingLeastSquares

A user of the library changes the import. Arguments and results are the library's;
docs/for-implicit-users.md lists the differences. It loads neither Dask nor DuckDB.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from implicit.cpu import als
from implicit.cpu.topk import topk
from implicit.recommender_base import ModelFitError
from implicit.utils import check_csr
from scipy.sparse import csr_matrix

from looplib.arrays import AnyFloatArray, Float32Array, Int32Array
from looplib.platform import usable_cores

_BATCH = 100  # rows from which packing the items for the ranking pays
_LONGEST = 256  # lists that the ranking is made for
_NO_LIKE = -np.finfo(np.float32).tiny  # a confidence of 0, with a preference of 0
Ids = npt.ArrayLike


class AlternatingLeastSquares(als.AlternatingLeastSquares):  # type: ignore[misc]  # no types
    """The library's model, fitted and ranked by this project's kernels.

    The library's own code runs for factors of 64 bits, `use_cg` or `use_native` False, and where
    few rows are ranked, or some of the items.

    >>> from threadpoolctl import threadpool_limits
    >>> liked = csr_matrix(np.array([[3, 1, 0, 0], [2, 0, 5, 0], [0, 1, 0, 0]], np.float32))
    >>> with threadpool_limits(1, user_api="blas"):  # as the library asks for
    ...     model = AlternatingLeastSquares(2, iterations=5, random_state=1, num_threads=1)
    ...     model.fit(liked, show_progress=False)
    >>> ids, scores = model.recommend([2], liked[[2]], N=2)
    >>> ids.tolist()
    [[0, 3]]
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  the library's
        use_gpu: bool = False,
        **options: Any,  # noqa: ANN401  the library's
    ) -> None:
        """Take the library's arguments.

        Args:
            args: Positional arguments of the library's class.
            use_gpu: For code that calls `implicit.als`; only False is allowed.
            options: Keyword arguments of the library's class.

        Raises:
            ValueError: `use_gpu` is True.
        """
        super().__init__(*args, **options)
        if use_gpu:
            raise ValueError(
                "use_gpu: True found; this class fits on the processor, implicit.als on a GPU"
            )

    def fit(
        self,
        user_items: csr_matrix,
        show_progress: bool = True,
        callback: Callable[..., None] | None = None,
    ) -> None:
        """Fit the factors of both sides to confidences, shape (users, items).

        A fitted model goes on from its factors.

        Raises:
            ModelFitError: A confidence is not finite.
            ValueError: The factors are of another shape, or a hyperparameter is not allowed.
        """
        user_items = check_csr(user_items)
        with np.errstate(over="ignore"):
            confidences = np.float32(self.alpha) * user_items.data.astype(np.float32)
        is_finite = np.isfinite(confidences)
        if not is_finite.all():
            first = np.argmin(is_finite)
            row = np.searchsorted(user_items.indptr, first, side="right") - 1
            raise ModelFitError(
                f"user_items: {user_items.data[first]} in row {row}, column "
                f"{user_items.indices[first]}; confidences that float32 can hold are expected"
            )
        for side, size in zip(("user", "item"), user_items.shape, strict=True):
            factors = getattr(self, f"{side}_factors")
            if factors is not None and len(factors) != size:
                raise ValueError(
                    f"user_items: {size} {side}s found, the model has {len(factors)}; "
                    "fit a new model"
                )
        super().fit(user_items, show_progress, callback)

    @property
    def solver(self) -> Callable[..., None]:
        """The function that solves a factor matrix in place; `fit` calls it."""
        if self.use_cg and self.use_native and self.dtype == np.float32:
            return self._solve
        solver: Callable[..., None] = super().solver
        return solver

    def recommend(
        self,
        userid: Ids,
        user_items: csr_matrix | None,
        N: int = 10,  # noqa: N803  the library's
        filter_already_liked_items: bool = True,
        filter_items: Ids | None = None,
        recalculate_user: bool = False,
        items: Ids | None = None,
    ) -> tuple[Int32Array, AnyFloatArray]:
        """Find the N items with the largest scores of a user, or of each of many; see the library.

        In a large batch, items with equal scores are in order of their numbers.
        """
        shape = (np.size(userid), len(self.item_factors))
        is_read = filter_already_liked_items or recalculate_user
        fits = isinstance(user_items, csr_matrix) and user_items.shape == shape
        is_all = filter_items is None and items is None
        is_fast = shape[0] >= _BATCH and 0 < N <= min(shape[1], _LONGEST)
        is_ours = is_fast and is_all and self.dtype == np.float32
        if not (is_ours and (fits or not is_read)):
            lists: tuple[Int32Array, AnyFloatArray] = super().recommend(
                userid,
                user_items,
                N,
                filter_already_liked_items,
                filter_items,
                recalculate_user,
                items,
            )
            return lists
        users = self._user_factor(userid, user_items, recalculate_user)
        liked = user_items if filter_already_liked_items else None
        return self._rank(users, N, liked)

    @property
    def _threads(self) -> int:
        return self.num_threads or usable_cores()

    def _solve(
        self,
        confidences: csr_matrix,
        rows: Float32Array,
        across: Float32Array,
        regularization: float,
        num_threads: int = 0,
    ) -> None:
        """Solve rows in place; a confidence below 0 has the preference 0."""
        from looplib.als import AlsConfig
        from recsys.models.solver import solve

        values = confidences.data.astype(np.float32, copy=False)
        if not values.all():
            values = np.where(values == 0, _NO_LIKE, values)
        arrays = (values, confidences.indices, confidences.indptr)
        matrix = csr_matrix(arrays, shape=(len(rows), len(across)))
        config = AlsConfig(factors=self.factors, regularization=regularization)
        threads = num_threads or self._threads
        solve(
            rows,
            [across],
            matrix,
            config,
            threads,
            cg_steps=self.cg_steps,
            has_confidences=True,
        )

    def _rank(
        self, rows: Float32Array, count: int, liked: csr_matrix | None
    ) -> tuple[Int32Array, Float32Array]:
        """Find the items with the largest products; the library ranks zeros and short lists."""
        from recsys.models.kernels.ranking import rank_tracks

        ids = np.full((len(rows), count), -1, np.int32)
        scores = np.zeros(ids.shape, np.float32)
        fitted = np.flatnonzero(rows.any(axis=1))
        seen = None if liked is None else liked[fitted]
        ids[fitted], scores[fitted] = rank_tracks(
            rows[fitted], self.item_factors, count, self._threads, seen
        )
        rest = np.flatnonzero((ids < 0).any(axis=1))
        if len(rest):
            ids[rest], scores[rest] = topk(
                self.item_factors,
                rows[rest],
                count,
                filter_query_items=None if liked is None else liked[rest],
                num_threads=self._threads,
            )
        return ids, scores
