"""Fit a model in this process or in blocks on a cluster, and recommend from it."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from analysis.plays.columns import ALIASES
from analysis.store import Store
from listening_loop.api.frames import is_frame, sum_weights
from listening_loop.api.stores import Source, add_plays
from listening_loop.errors import LoopError
from looplib.als import AlsConfig, solve_row
from looplib.arrays import (
    NO_TRACK,
    AnyArray,
    AnyFloatArray,
    AnyIntArray,
    Float32Array,
    IntArray,
)
from looplib.checksums import unseal
from looplib.config import parse_config
from looplib.errors import UserError
from looplib.files import atomic_directory, atomic_write_json, sha256_file
from looplib.progress import progress, say
from looplib.untrusted import open_untrusted
from recsys.blockwise import plan_blocks, read_state
from recsys.cluster.cluster import Cluster
from recsys.cluster.processes import is_small, usable_cores
from recsys.config import SearchConfig
from recsys.dataset.cache import cached_dataset
from recsys.dataset.interactions import Interactions, load_interactions
from recsys.dataset.plan import plan_dataset
from recsys.export.version import FACTORS, MANIFEST
from recsys.ingest.report import describe_ingest
from recsys.models.als import Als
from recsys.models.base import State
from recsys.models.external import CLASS, select_params
from recsys.models.factors import Factors
from recsys.models.libraries import NO_PLAYS, load_class, make
from recsys.storage import Workspace, open_workspace
from recsys.store.ids import originals
from recsys.store.reader import open_store

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client


@dataclass(eq=False, repr=False)
class FactorModel:
    """Factors of listeners and tracks, under the owner's ids.

    >>> users, items = np.array(["ann", "bob"]), np.array(["gymnopedie", "nocturne"])
    >>> factors = np.array([[1, 0], [0, 1]], np.float32)
    >>> model = FactorModel(users, items, factors, 2 * factors, {"factors": 2})
    >>> model.recommend(["bob"], n=1)
      user  rank      item  score
    0  bob     1  nocturne    2.0
    >>> model.similar(["nocturne"], n=1)["item"].tolist()
    ['gymnopedie']
    """

    users: AnyArray  # ids, shape (listeners,)
    items: AnyArray  # ids, shape (tracks,)
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)
    # hyperparameters, as a manifest has them; with its path for a class of another package
    parameters: Mapping[str, Any]

    def __repr__(self) -> str:
        """Return the size and the hyperparameters."""
        size = f"{len(self.users):,} listeners, {len(self.items):,} tracks"
        return f"<FactorModel of {size}: {self.parameters}>"

    def to_implicit(self) -> Any:  # noqa: ANN401  a class without types
        """Make a model of the library `implicit` with these factors, whose own `save` works.

        The matrix of an ALS model's `recalculate_user` has confidences: `unobserved_weight + alpha
        x weight`, divided by `unobserved_weight`.

        Raises:
            Error: The factors are of a class of another library.
        """
        path = self.parameters.get(CLASS, "implicit.cpu.als.AlternatingLeastSquares")
        if not path.startswith("implicit."):
            raise UserError(f"to_implicit: {path} is not a class of implicit")
        params = select_params(self.parameters)
        if CLASS not in self.parameters:
            als = AlsConfig.read(params)
            regularization = als.regularization / als.unobserved_weight
            params = {"factors": als.factors, "regularization": regularization}
        model = make(load_class(path), params, NO_PLAYS)
        model.user_factors = self.user_factors
        model.item_factors = self.item_factors
        return model

    def recommend(self, users: Sequence[Any], n: int = 10) -> "pd.DataFrame":
        """Recommend the n tracks with the largest product of factors to each listener.

        Returns:
            A frame with the columns user, rank (from 1), item, score.

        Raises:
            Error: A listener is unknown; `fold_in` recommends by a history instead.
        """
        check_request(n, users, "listener")
        rows = self.user_factors[_positions(self.users, users, "listener")]
        lists = Factors(rows, self.item_factors).rank(n, usable_cores())
        return self._to_frame(*lists, user=users)

    def similar(self, items: Sequence[Any], n: int = 10) -> "pd.DataFrame":
        """Find the n other tracks whose factors are most similar (cosine) to a track's.

        Returns:
            A frame with the columns of, rank (from 1), item, score.

        Raises:
            Error: A track is unknown.
        """
        check_request(n, items, "track")
        positions = _positions(self.items, items, "track")
        factors = Factors(self.user_factors, self.item_factors)
        lists = factors.similar(positions, n, usable_cores())
        return self._to_frame(*lists, of=items)

    def fold_in(self, history: Mapping[Any, float], n: int = 10) -> "pd.DataFrame":
        """Recommend to a listener whom the model does not know, by the tracks heard.

        `history` is listening time, or another weight, by track; tracks that the model does not
        know are left out.

        Returns:
            A frame with the columns rank (from 1), item, score, without the tracks of the history.

        Raises:
            Error: The model knows no track of the history, a weight is not positive, or the
                factors are of a class of another package.
        """
        check_request(n)
        if path := self.parameters.get(CLASS):
            raise UserError(f"fold_in: {path} has no fold-in; fit als")
        if not hasattr(history, "keys"):
            raise UserError("history: weights by track are expected, as in {7: 120}")
        items = self.items.tolist()
        rows = np.array([row for row, item in enumerate(items) if item in history])
        if not len(rows):
            raise LoopError(
                f"history: none of its {len(history)} tracks is known to the model"
            )
        try:
            times = np.array([history[items[row]] for row in rows], np.float64)
        except (TypeError, ValueError):
            times = np.zeros(1)
        if not (np.isfinite(times) & (times > 0)).all():
            raise UserError("history: weights have to be positive numbers")
        factors = solve_row(
            gram=(self.item_factors.T @ self.item_factors).astype(np.float64),
            heard=self.item_factors[rows].astype(np.float64),
            times=times,
            count=len(self.items),
            config=AlsConfig.read(self.parameters),
        )
        scores = self.item_factors @ factors.astype(np.float32)
        scores[rows] = -np.inf
        count = min(n, len(items) - len(rows))
        best = np.argsort(-scores, kind="stable")[:count]
        return self._to_frame(best[None], scores[best][None])

    def save(self, folder: str | Path) -> None:
        """Write the model to a new folder, whole or not at all; `FactorModel.load` reads it.

        Raises:
            Error: There is such a folder.
        """
        if Path(folder).exists():
            raise UserError(f"{folder}: exists already; name another folder")
        with atomic_directory(Path(folder)) as target:
            np.savez(
                target / FACTORS,
                allow_pickle=False,
                users=self.users,
                tracks=self.items,
                user_factors=self.user_factors,
                item_factors=self.item_factors,
            )
            files = {FACTORS: {"sha256": sha256_file(target / FACTORS)}}
            manifest = {"parameters": self.parameters, "files": files}
            atomic_write_json(target / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: str | Path) -> "FactorModel":
        """Read a model that `save` wrote, or the model of a published version.

        Raises:
            Error: There is no model, it is damaged, or its kind has no factors.
        """
        workspace = open_workspace(folder)
        workspace.download_all()
        try:
            manifest = unseal((workspace.folder / MANIFEST).read_bytes())
            parameters = manifest.get("factors") or manifest["parameters"]
            parameters = (
                parameters.get(CLASS) or AlsConfig.read(parameters).model_dump()
            )
            sha256 = manifest["files"][FACTORS]["sha256"]
            file = open_untrusted(workspace.folder / FACTORS, sha256=sha256)
            with file, np.load(file, allow_pickle=False) as arrays:
                users, items = arrays["users"], arrays["tracks"]
                factors = arrays["user_factors"], arrays["item_factors"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{folder}: no saved model ({reason})") from None
        return cls(users, items, *factors, parameters)

    def _to_frame(
        self, lists: AnyIntArray, scores: AnyFloatArray, **ids: Sequence[Any]
    ) -> "pd.DataFrame":
        """Make a frame of lists, which may be short."""
        row, rank = np.nonzero(lists != NO_TRACK)
        columns = {name: np.array(values)[row] for name, values in ids.items()}
        columns["rank"] = rank + 1
        columns["item"] = self.items[lists[row, rank]]
        columns["score"] = scores[row, rank]
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame


def fit(
    data: Source | Store,
    params: Mapping[str, Any],
    *,
    client: "Client | None" = None,
    iterations: int = 15,
    seed: int = 42,
    folder: str | Path | None = None,
    **columns: str,
) -> FactorModel:
    """Fit an ALS model to all interactions.

    >>> fit("plays.csv", {"factor": 128})
    Traceback (most recent call last):
    looplib.errors.ConfigError: params: factor: unknown key; the nearest known key is factors

    Args:
        data: A data frame of pandas, polars, Arrow or Dask, files, or a store.
        params: Hyperparameters by name, such as `{"factors": 128, "alpha": 10}`.
        client: A Dask client, all of whose workers fit blocks, with the same factors to the bit;
            None to fit in this process.
        iterations: How often listeners and tracks are solved.
        seed: Decides the first factors.
        folder: A path or address that all workers reach, for temporary files; by default a
            temporary folder of this machine.
        columns: The columns of `data` by their content, as `ingest` takes them; by default the
            listener is `user`, and the track `item`.

    Raises:
        Error: The interactions, a hyperparameter or the cluster does not allow it.

    Example:
        >>> plays = {"user": ["ann", "ann", "bob"], "item": [7, 8, 7], "seconds": [60, 20, 90]}
        >>> model = fit(pa.table(plays), {"factors": 2}, weight="seconds")
        >>> model.recommend(["bob"], n=1)["item"].tolist()
        [7]
    """
    config = parse_config(AlsConfig, as_dict("params", params), "params")
    document = {"store": ".", "run": ".", "seed": seed}
    document |= {"search": {"iterations": iterations}}
    search = parse_config(SearchConfig, document, "the arguments")
    iterations, seed = search.search.iterations, search.seed
    if columns and isinstance(data, Store):
        raise UserError(
            f"{', '.join(columns)}: a store has named its columns; leave these out"
        )
    renamed = {ALIASES.get(name, name): column for name, column in columns.items()}
    named: dict[str, Any] = {"listener": "user", "track": "item", **renamed}
    plain = {"listener", "track", "weight", "seconds"}
    is_plain = is_frame(data) and named.keys() <= plain
    summed = None
    if is_plain and not client and not isinstance(data, Store):
        weight = named.get("weight") or named.get("seconds")
        summed = sum_weights(data, named["listener"], named["track"], weight)
    if summed:
        users, items, weights = summed
        state = _fit_here(Interactions(weights), config, seed, iterations)
        return _to_model(users, items, state, config)
    with _scratch(folder) as scratch:
        if not isinstance(data, Store):
            added = add_plays(data, f"{scratch}/store", named)
            # the store is deleted at the end
            say(describe_ingest(added).replace(str(added.store), "the plays"))
            data = added.store
        store = open_store(data.address)
        plan = plan_dataset(store, search)
        scratch.folder.mkdir(parents=True, exist_ok=True)
        modules = (plan_blocks.__module__,)
        is_here = is_small(search.cluster, store.manifest.events)
        with Cluster(
            search.cluster, scratch.on_disk, client, modules, is_here=is_here
        ) as workers:
            with progress("Interactions", 100, "%") as report:
                dataset = cached_dataset(store, plan, scratch, workers, report)
            if client:
                fit = scratch.sub("fit")
                rest = (config, seed, iterations, fit)
                with progress("Fit", iterations, "iterations") as report:
                    slots = workers.slots()
                    blocks = plan_blocks(slots, dataset, "all", *rest, report)
                    state = read_state(fit, workers.run_plan(blocks))
            else:
                train = load_interactions(dataset, "all")
                state = _fit_here(train, config, seed, iterations)
        users = originals(store, "users", dataset.users)
        items = originals(store, "items", dataset.tracks)
        return _to_model(users, items, state, config)


def _fit_here(
    train: Interactions, config: AlsConfig, seed: int, iterations: int
) -> State:
    """Fit ALS in this process; return its state."""
    with progress("Fit", iterations, "iterations") as report:
        model = Als(config).fit(train, seed=seed, threads=usable_cores(), iterations=0)
        while model.iterations < iterations:
            model.partial_fit(1)
            report(model.iterations)
    return model.state


def _to_model(
    users: AnyArray, items: AnyArray, state: State, config: AlsConfig
) -> FactorModel:
    factors = np.array(state["user_factors"]), np.array(state["item_factors"])
    return FactorModel(users, items, *factors, config.model_dump())


@contextmanager
def _scratch(folder: str | Path | None) -> Iterator[Workspace]:
    made = tempfile.TemporaryDirectory(
        prefix="listening-loop-", ignore_cleanup_errors=True
    )
    with made as temporary:
        workspace = open_workspace(folder or temporary)
        scratch = workspace.sub("fit")
        if scratch.names():
            raise UserError(f"{scratch}: not empty; remove it, or name another folder")
        try:
            yield scratch
        finally:
            workspace.delete("fit")


def check_request(n: int, ids: Sequence[Any] = (), kind: str = "id") -> None:
    """Check the length of lists, and that ids are a list.

    Raises:
        Error: The length is no whole number from 1 on, or the ids are a single id.
    """
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise UserError(f"n is {n}; at least 1 is expected, a whole number")
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise UserError(f"{ids!r}: a list of {kind}s is expected, such as [{ids!r}]")


def as_dict(name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Copy an argument that is a mapping, empty if there is none.

    Raises:
        Error: It is something else.
    """
    if not isinstance(values or {}, Mapping):
        raise UserError(f"{name}: a mapping is expected, not {values!r}")
    return dict(values or {})


def _positions(ids: AnyArray, asked: Sequence[Any], kind: str) -> IntArray:
    """Find the rows of some ids.

    Raises:
        Error: An id is unknown.
    """
    rows = {name: row for row, name in enumerate(ids.tolist())}
    unknown = [name for name in asked if name not in rows]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise LoopError(f"{kind} {unknown[0]!r}{more}: unknown to the model")
    return np.array([rows[name] for name in asked], dtype=np.int64)
