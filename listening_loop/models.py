"""Fit one model, on one machine or in blocks across a cluster, and recommend from it."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from listening_loop.frames import Frame, to_frame
from listening_loop.stores import ingest
from looplib.arrays import Float32Array, FloatArray, IntArray
from looplib.config import parse_config
from looplib.errors import UserError
from looplib.files import atomic_directory
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster, usable_cores
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import SUMMARY
from recsys.export.export import FACTORS
from recsys.export.manifest import MANIFEST
from recsys.models.als import Als
from recsys.models.fold_in import fold_in
from recsys.models.params import AlsParams, Fit
from recsys.models.topk import NO_TRACK, nearest_tracks, top_tracks
from recsys.store.ids import originals
from recsys.store.remote import open_store as open_at
from recsys.workspace import open_workspace

if TYPE_CHECKING:
    from distributed import Client

PARAMS = "params.json"


class UnknownIdError(UserError):
    """A listener or track that a model has not learned."""


@dataclass(eq=False)
class Model:
    """Factors of listeners and tracks, under the owner's ids."""

    users: np.ndarray[Any, Any]  # ids, shape (listeners,)
    items: np.ndarray[Any, Any]  # ids, shape (tracks,)
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)
    params: AlsParams

    def recommend(self, users: Sequence[Any], n: int = 10) -> Frame:
        """Recommend the n tracks with the largest product of factors to each listener.

        Returns:
            A frame with the columns user, rank (from 1), item, score.

        Raises:
            Error: A listener is unknown; `fold_in` recommends by a history instead.
        """
        rows = self.user_factors[_positions(self.users, users, "listener")]
        return self._lists("user", list(users), rows, n)

    def similar(self, items: Sequence[Any], n: int = 10) -> Frame:
        """Find the n tracks whose factors are most similar (cosine) to a track's.

        Returns:
            A frame with the columns of, rank (from 1), item, score.

        Raises:
            Error: A track is unknown.
        """
        norms = np.linalg.norm(self.item_factors, axis=1, keepdims=True)
        unit = self.item_factors / np.maximum(norms, np.finfo(np.float32).tiny)
        positions = _positions(self.items, items, "track")
        scores = unit[positions] @ unit.T
        scores[np.arange(len(positions)), positions] = -np.inf
        return self._frame("of", list(items), scores, n)

    def fold_in(self, history: Mapping[Any, float], n: int = 10) -> Frame:
        """Recommend to a listener whom the model does not know, by what the listener has heard.

        Args:
            history: Listening time, or another weight, by track; tracks that the model does not know are left out.
            n: Length of the list; tracks of the history are not in it.

        Returns:
            A frame with the columns rank (from 1), item, score.

        Raises:
            Error: The model knows no track of the history.
        """
        known = {track: weight for track, weight in history.items() if (self.items == track).any()}
        if not known:
            raise UnknownIdError(f"history: none of its {len(history)} tracks is known to the model")
        positions = _positions(self.items, list(known), "track")
        factors = fold_in(self.item_factors, positions, np.array(list(known.values())), self.params)
        scores = (self.item_factors @ factors.astype(np.float32))[None]
        scores[0, positions] = -np.inf
        return self._frame("", [""], scores, n)

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder, whole or not at all; `Model.load` reads it."""
        with atomic_directory(Path(folder)) as target:
            names = {"users": self.users, "items": self.items}
            factors = {"user_factors": self.user_factors, "item_factors": self.item_factors}
            np.savez(target / FACTORS, allow_pickle=False, **names, **factors)
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

    def _lists(self, key: str, ids: Sequence[Any], factors: Float32Array, n: int) -> Frame:
        return self._frame(key, ids, factors @ self.item_factors.T, n)

    def _frame(self, key: str, ids: Sequence[Any], scores: FloatArray, n: int) -> Frame:
        length = min(n, int(np.isfinite(scores).sum(axis=1).min()))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :length]
        columns: dict[str, Any] = {key: np.repeat(np.array(ids), length)} if key else {}
        columns |= {
            "rank": np.tile(np.arange(1, length + 1), len(scores)),
            "item": self.items[order].ravel(),
            "score": np.take_along_axis(scores, order, axis=1).ravel(),
        }
        return to_frame(pa.table({name: pa.array(values.tolist()) for name, values in columns.items()}))
