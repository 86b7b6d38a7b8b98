"""Irspack's item-kNN, by the cosine of log counts; the session's latest tracks vote."""

from collections import Counter
from collections.abc import Hashable

import numpy as np
from irspack.recommenders import CosineKNNRecommender
from scipy.sparse import csr_matrix
from service import read_sessions

LENGTH = 20  # tracks of the session that vote
FADE = 0.8  # the weight of the track before

sessions = [Counter(tracks) for _, tracks in read_sessions()]
tracks = sorted({track for session in sessions for track in session})
numbers = {track: number for number, track in enumerate(tracks)}
ends = np.cumsum([0, *map(len, sessions)])
columns = [numbers[track] for session in sessions for track in session]
values = np.log1p([float(n) for session in sessions for n in session.values()])
plays = csr_matrix((values, columns, ends), (len(sessions), len(tracks)))
model = CosineKNNRecommender(plays, shrinkage=1.0, top_k=200, n_threads=1).learn()
near = csr_matrix(model.W)


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Add up the neighbours of the latest tracks."""
    latest = [numbers[track] for track in session[-LENGTH:] if track in numbers]
    weights = FADE ** np.arange(len(latest))[::-1]
    row = csr_matrix((weights, latest, [0, len(latest)]), (1, len(tracks))) @ near
    best = np.argsort(-row.data, kind="stable")[:n]
    return [tracks[number] for number in row.indices[best]]
