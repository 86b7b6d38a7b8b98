"""Models of other authors that know the order of plays and that tracks are played again.

Those of nearest neighbours are written here as their papers have them, where a block of plays
stands for a basket or a session; SASRec is that of RecTools. `peers` chooses and measures them.
"""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags, identity

from benchmarks.real.peers import THREADS, Fits, Kinds, scale
from benchmarks.real.tables import SEED
from looplib.arrays import Int32Array, IntArray
from looplib.config import Config
from recsys.dataset.interactions import Interactions
from recsys.models.activation import activation, sum_plays
from recsys.models.base import Model
from recsys.models.factors import Pool
from recsys.models.sparse import nearest, top_neighbours, top_products

BLOCK = 20  # plays that are a basket or a session
WINDOW, NEIGHBOURS = 10, 200  # of closeness, for spreading activation
SEQUENCE = 50  # plays that SASRec sees
SASREC_TOP = 1000  # tracks that it scores


class Scored(Model):
    """Lists of the tracks with the largest scores above 0."""

    config: Config

    def __init__(self, train: Interactions, scores: csr_matrix) -> None:
        """Take scores, shape (listeners, tracks)."""
        super().__init__(Config())
        self.fit(train, seed=SEED, threads=THREADS)
        self.scores = scores

    def recommend(
        self, k: int, pool: Pool = "all", listeners: IntArray | None = None
    ) -> Int32Array:
        """Recommend what has the largest scores, then popular tracks."""
        heard = self.train.select(listeners).matrix
        left_out = heard if pool == "new" else None
        scores = self.scores if listeners is None else self.scores[listeners]
        scores = scores.multiply(heard > 0) if pool == "repeat" else scores
        itself = identity(len(heard.indptr) - 1, format="csr")
        best, _ = top_products(itself, csr_matrix(scores), k, THREADS, left_out)
        return best if pool == "repeat" else self.fill_up(best, listeners)


def user_knn(train: Interactions, counts: str, k: int, own: float) -> Fits:
    """Add the plays of the nearest listeners, by the cosine, to one's own."""
    matrix = scale(train.matrix, counts)
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1)).A1
    unit = csr_matrix(diags(1 / np.maximum(lengths, 1e-9)) @ matrix)
    itself = identity(len(lengths), format="csr")
    near = nearest(unit, csr_matrix(unit.T), k, THREADS, itself)
    yield Scored(train, csr_matrix(near @ matrix + own * matrix))


def tifu_knn(train: Interactions, group_decay: float, k: int, own: float) -> Fits:
    """Fit TIFU-KNN: Hu, He, Gao and Zhang, SIGIR 2020.

    Seven baskets are a group, in which the weight of a basket falls by a tenth.
    """
    plays = train.ordered_plays
    basket = (plays.age - 1) // BLOCK
    weights = 0.9 ** (basket % 7) * group_decay ** (basket // 7)
    vectors = _add_to_one(sum_plays(plays, weights, train.matrix.shape[1]))
    products = (vectors @ vectors.T).toarray()
    lengths = products.diagonal()
    distances = lengths[:, np.newaxis] + lengths - 2 * products
    np.fill_diagonal(distances, np.inf)
    k = min(k, len(distances) - 1)
    near = np.argpartition(distances, k, axis=1)[:, :k]
    rows = np.repeat(np.arange(len(near)), k)
    values = np.full(len(rows), 1 / k, np.float32)
    neighbours = csr_matrix((values, (rows, near.ravel())), products.shape)
    yield Scored(train, own * vectors + (1 - own) * (neighbours @ vectors))


def act_r(train: Interactions, decay: float, cues: int, spreading: float) -> Fits:
    """Add activation that spreads from the latest tracks to the base level.

    Reiter-Haas, Parada-Cabaleiro, Schedl, Motamedi, Tkalcic and Lex, RecSys 2021.
    """
    plays, tracks = train.ordered_plays, train.matrix.shape[1]
    near = top_neighbours(
        plays.indptr, plays.tracks, tracks, WINDOW, 0.5, NEIGHBOURS, THREADS
    )
    latest = sum_plays(plays, (plays.age <= cues).astype(np.float64), tracks)
    spread = spreading * _add_to_one(latest @ near)
    yield Scored(train, _activation(train, decay) + spread)


def v_sknn(train: Interactions, k: int, own: float) -> Fits:
    """Add up the sessions that are nearest to the latest plays, beside the activation.

    V-SKNN: Ludewig and Jannach, "Evaluation of Session-based Recommendation Algorithms", 2018.
    """
    plays, tracks = train.ordered_plays, train.matrix.shape[1]
    block = plays.listeners * (plays.counts.max() // BLOCK + 1)
    block += (plays.age - 1) // BLOCK
    is_past = plays.age > BLOCK
    _, session = np.unique(block[is_past], return_inverse=True)
    positions = (session, plays.tracks[is_past])
    shape = (session.max() + 1, tracks)
    sessions = csr_matrix((np.ones(len(session), np.float32), positions), shape)
    decayed = np.maximum(1 - (plays.age - 1) / BLOCK, 0)
    latest = sum_plays(plays, decayed, tracks)
    rarity = np.log(shape[0] / np.maximum(sessions.getnnz(axis=0), 1))
    near = nearest(latest, csr_matrix(sessions.T), k, THREADS)
    scores = _add_to_one(near @ sessions @ diags(rarity.astype(np.float32)))
    yield Scored(train, scores + own * _activation(train))


def sasrec(train: Interactions, epochs: int, own: float) -> Fits:
    """Add up the probabilities of SASRec with a gBCE loss and the activation."""
    yield Scored(train, _fit_sasrec(train, epochs) + own * _activation(train))


@lru_cache(maxsize=2)
def _fit_sasrec(train: Interactions, epochs: int) -> csr_matrix:
    """Fit SASRec to all plays, of which it sees `SEQUENCE` in a row; probabilities of tracks."""
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    plays = train.ordered_plays
    listeners, tracks = train.matrix.shape
    part = (plays.age - 1) // SEQUENCE
    columns = {
        Columns.User: part * listeners + plays.listeners,
        Columns.Item: plays.tracks,
        Columns.Datetime: pd.to_datetime(-plays.age, unit="s"),
        Columns.Weight: 1.0,
    }
    data = Dataset.construct(pd.DataFrame(columns))
    model = SASRecModel(
        epochs=epochs,
        loss="gBCE",
        n_negatives=16,
        gbce_t=0.75,
        n_factors=64,
        batch_size=64,
        n_heads=2,
        session_max_len=SEQUENCE,
        train_min_user_interactions=2,
        dataloader_num_workers=0,
    )
    model.fit(data)
    users = np.flatnonzero(plays.counts)
    best = model.recommend(users, data, min(SASREC_TOP, tracks), filter_viewed=False)
    positions = (best[Columns.User].to_numpy(), best[Columns.Item].to_numpy())
    odds = csr_matrix((best[Columns.Score], positions), train.matrix.shape)
    odds.data = np.exp(odds.data - odds.data.max())
    return _add_to_one(odds)


def _activation(train: Interactions, decay: float = 0.5) -> csr_matrix:
    plays, tracks = train.ordered_plays, train.matrix.shape[1]
    return _add_to_one(sum_plays(plays, activation(plays, decay), tracks))


def _add_to_one(scores: csr_matrix) -> csr_matrix:
    """Scale each row to the sum 1."""
    sums = np.maximum(scores.sum(axis=1), 1e-30)
    return csr_matrix(diags(1 / np.ravel(sums)) @ scores, dtype=np.float32)


KINDS: Kinds = {
    "user-kNN": (
        user_knn,
        {"counts": ["raw", "log"], "k": [50, 200], "own": [1.0, 4.0, 16.0]},
    ),
    "TIFU-KNN": (
        tifu_knn,
        {"group_decay": [0.5, 0.7, 0.9], "k": [100, 300], "own": [0.7, 0.9]},
    ),
    "ACT-R": (
        act_r,
        {"decay": [0.3, 0.5], "cues": [1, 5, 20], "spreading": [0.1, 0.3]},
    ),
    "V-SKNN": (v_sknn, {"k": [100, 500], "own": [0.0, 1.0, 4.0]}),
}
if find_spec("pytorch_lightning") and find_spec("rectools"):
    space: dict[str, Any] = {"epochs": [10, 30], "own": [0.0, 0.25, 0.5, 1.0, 2.0]}
    KINDS = {**KINDS, "SASRec (RecTools)": (sasrec, space)}
