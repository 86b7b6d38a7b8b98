"""Fit one model, on one machine or in blocks across a cluster, and recommend from it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from listening_loop.frames import Frame, lists_frame
from listening_loop.stores import Source, Store, ingest
from looplib.als import AlsParams, solve_row
from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.checksums import unseal
from looplib.config import parse_config
from looplib.errors import UserError
from looplib.files import atomic_directory
from looplib.progress import progress
from looplib.untrusted import open_untrusted
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster
from recsys.cluster.processes import usable_cores
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset, plan_dataset
from recsys.export.export import FACTORS, MANIFEST
from recsys.models.kinds import Als
from recsys.models.topk import top_tracks
from recsys.store.ids import originals
from recsys.store.remote import open_store as open_at
from recsys.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from distributed import Client

PARAMS = "params.json"


class UnknownIdError(UserError):
    """A listener or track that a model has not learned."""


@dataclass(eq=False, repr=False)
class Model:
    """Factors of listeners and tracks, under the owner's ids."""

    users: np.ndarray[Any, Any]  # ids, shape (listeners,)
    items: np.ndarray[Any, Any]  # ids, shape (tracks,)
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)
    params: AlsParams

    def __repr__(self) -> str:
        """Return the size and the hyperparameters."""
        return f"<Model of {len(self.users):,} listeners, {len(self.items):,} tracks: {self.params}>"

    def recommend(self, users: Sequence[Any], n: int = 10) -> Frame:
        """Recommend the n tracks with the largest product of factors to each listener.

        Returns:
            A frame with the columns user, rank (from 1), item, score.

        Raises:
            Error: A listener is unknown; `fold_in` recommends by a history instead.
        """
        rows = self.user_factors[_positions(self._user_rows, users, "listener")]
        return self._lists({"user": users}, rows, self.item_factors, n)

    def similar(self, items: Sequence[Any], n: int = 10) -> Frame:
        """Find the n other tracks whose factors are most similar (cosine) to a track's.

        Returns:
            A frame with the columns of, rank (from 1), item, score.

        Raises:
            Error: A track is unknown.
        """
        positions = _positions(self._item_rows, items, "track")
        norms = np.linalg.norm(self.item_factors, axis=1, keepdims=True)
        unit = self.item_factors / np.maximum(norms, np.finfo(np.float32).tiny)
        return self._lists(
            {"of": items},
            unit[positions],
            unit,
            n,
            [[position] for position in positions.tolist()],
        )

    def fold_in(self, history: Mapping[Any, float], n: int = 10) -> Frame:
        """Recommend to a listener whom the model does not know, by what the listener has heard.

        `history` is listening time, or another weight, by track; tracks that the model does not
        know are left out.

        Returns:
            A frame with the columns rank (from 1), item, score, without the tracks of the history.

        Raises:
            Error: The model knows no track of the history, or a weight is not positive.
        """
        known = {
            track: float(weight)
            for track, weight in history.items()
            if track in self._item_rows
        }
        if not known:
            raise UnknownIdError(
                f"history: none of its {len(history)} tracks is known to the model"
            )
        if bad := [
            track for track, weight in known.items() if not 0 < weight < float("inf")
        ]:
            raise UserError(
                f"history: track {bad[0]} has the weight {known[bad[0]]}; a positive number is expected"
            )
        positions = _positions(self._item_rows, list(known), "track")
        nothing = np.empty((0, self.params.factors))
        factors = solve_row(
            gram=self._gram,
            heard=self.item_factors[positions].astype(np.float64),
            times=np.array(list(known.values())),
            skipped=nothing,
            skips=np.empty(0),
            others=len(self.items),
            params=self.params,
        )[None].astype(np.float32)
        return self._lists({}, factors, self.item_factors, n, [positions.tolist()])

    def save(self, folder: str | Path) -> None:
        """Write the model to a new folder, whole or not at all; `Model.load` reads it.

        Raises:
            Error: There is such a folder.
        """
        if Path(folder).exists():
            raise UserError(f"{folder}: there already; name another folder")
        with atomic_directory(Path(folder)) as target:
            arrays = {
                name: getattr(self, name)
                for name in ("users", "items", "user_factors", "item_factors")
            }
            np.savez(target / FACTORS, allow_pickle=False, **arrays)
            (target / PARAMS).write_bytes(orjson.dumps(asdict(self.params)))

    @classmethod
    def load(cls, folder: str | Path) -> "Model":
        """Read a model that `save` wrote.

        Raises:
            Error: There is none.
        """
        try:
            params = AlsParams(**orjson.loads(Path(folder, PARAMS).read_bytes()))
            with np.load(Path(folder, FACTORS), allow_pickle=False) as arrays:
                return cls(**arrays, params=params)
        except OSError as error:
            raise UserError(f"{folder}: no saved model ({error.strerror})") from None

    @cached_property
    def _gram(self) -> FloatArray:
        return (self.item_factors.T @ self.item_factors).astype(np.float64)

    @cached_property
    def _user_rows(self) -> dict[Any, int]:
        return {user: row for row, user in enumerate(self.users.tolist())}

    @cached_property
    def _item_rows(self) -> dict[Any, int]:
        return {item: row for row, item in enumerate(self.items.tolist())}

    def _lists(
        self,
        ids: Mapping[str, Sequence[Any]],
        rows: Float32Array,
        others: Float32Array,
        n: int,
        left_out: Sequence[Sequence[int]] = (),
    ) -> Frame:
        """Return the n best of the others for each row, without those left out of its list, as a frame."""
        found = top_tracks(
            rows, others, n + max(map(len, left_out), default=0), usable_cores()
        )
        left_out = left_out or [()] * len(found)
        lists = [
            best[~np.isin(best, out)][:n]
            for best, out in zip(found, left_out, strict=True)
        ]
        scores = [
            (others[best] @ row).tolist() for best, row in zip(lists, rows, strict=True)
        ]
        return lists_frame(
            ids, [self.items[best].tolist() for best in lists], score=scores
        )


def fit(
    client: "Client | None",
    interactions: Source | Store,
    params: Mapping[str, Any],
    *,
    sweeps: int = 15,
    seed: int = 42,
    blocks: bool = False,
    folder: str | Path | None = None,
    **columns: str,
) -> Model:
    """Fit an ALS model to all interactions.

    Args:
        client: A Dask client, on whose workers to fit; None to start processes on this machine.
        interactions: A data frame of pandas, polars, Arrow or Dask, files, or a store.
        params: Hyperparameters by name, such as `{"factors": 128, "alpha": 10}`; axes of a search
            have them all.
        sweeps: How often both sides are solved.
        seed: Decides the first factors.
        blocks: Solve blocks of listeners and tracks on all workers, instead of all on one; the
            factors are the same to the bit. A worker that dies costs its block.
        folder: A path or address for what workers share, removed at the end; by default a folder
            for temporary files of this machine.
        columns: Of `interactions`, by what they hold, as `ingest` takes them; by default `user` and
            `item`.

    Raises:
        Error: The interactions, a hyperparameter or the cluster does not allow it.
    """
    with _scratch(folder) as scratch:
        if not isinstance(interactions, Store):
            named: dict[str, Any] = {"user": "user", "item": "item", **columns}
            interactions = ingest(interactions, f"{scratch}/store", **named)
        cluster = {
            "workers": None if blocks else 1,
            "threads_per_fit": 1 if blocks or client else usable_cores(),
        }
        document = {
            "store": interactions.address,
            "run": f"{scratch}/run",
            "seed": seed,
            "cluster": cluster,
        }
        config = parse_config(
            SearchConfig,
            document | {"search": {"space": dict(params), "sweeps": sweeps}},
            "params",
        )
        grid = Als.grid(config.search.space.model_dump())
        if len(grid) > 1:
            raise UserError(
                f"params: {len(grid)} combinations; a fit has one value for each hyperparameter"
            )
        return _fit(config, grid[0], scratch, client, None if blocks else 1)


def _fit(
    config: SearchConfig,
    params: AlsParams,
    scratch: Workspace,
    client: "Client | None",
    number: int | None,
) -> Model:
    store, sweeps = open_at(config.store), config.search.sweeps
    plan = plan_dataset(store, config)
    scratch.folder.mkdir(parents=True, exist_ok=True)
    modules = (fit_blocks.__module__,)
    with open_cluster(config.cluster, (), scratch.on_disk, client, modules) as cluster:
        with progress("Interactions", 100, "%") as report:
            dataset = build_dataset(store, plan, scratch, cluster, report)
        with progress("Fit", sweeps, "sweeps") as report:
            blocks = cut_blocks(
                cluster, dataset, "total", scratch.sub("tracks"), number
            )
            fitted = fit_blocks(
                cluster, blocks, params, config.seed, sweeps, scratch.sub("fit"), report
            )
        users, items = (
            originals(store, "users", dataset.users),
            originals(store, "items", dataset.tracks),
        )
        return Model(
            users,
            items,
            np.array(fitted.user_factors),
            np.array(fitted.item_factors),
            params,
        )


def load_version(version: str | Path) -> Model:
    """Read the model of a published version.

    Raises:
        Error: There is none, or it is of a kind without factors.
    """
    workspace = open_workspace(version)
    workspace.download_all()
    try:
        manifest = unseal((workspace.folder / MANIFEST).read_bytes())
        parameters, sha256 = (
            manifest["parameters"],
            manifest["files"][FACTORS]["sha256"],
        )
        with (
            open_untrusted(workspace.folder / FACTORS, sha256=sha256) as file,
            np.load(file) as kept,
        ):
            arrays = dict(kept)
        params = AlsParams.read(parameters)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{version}: no published factors ({getattr(error, 'strerror', None) or error})"
        ) from None
    return Model(arrays.pop("users"), arrays.pop("tracks"), **arrays, params=params)


@contextmanager
def _scratch(folder: str | Path | None) -> Iterator[Workspace]:
    if folder is None:
        with tempfile.TemporaryDirectory(
            prefix="listening-loop-", ignore_cleanup_errors=True
        ) as made:
            yield open_workspace(made)
        return
    scratch = open_workspace(folder).sub("fit")
    if scratch.names():
        raise UserError(f"{scratch}: not empty; remove it, or name another folder")
    try:
        yield scratch
    finally:
        open_workspace(folder).delete("fit")


def _positions(known: Mapping[Any, int], ids: Sequence[Any], kind: str) -> IntArray:
    if isinstance(ids, str):
        raise UserError(f"{ids!r}: a list of {kind}s is expected, such as [{ids!r}]")
    if unknown := [found for found in ids if found not in known]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UnknownIdError(f"{kind} {unknown[0]!r}{more}: unknown to the model")
    return np.array([known[found] for found in ids], dtype=np.int64)
