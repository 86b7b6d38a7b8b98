"""Implicit's ALS; the factors of a session are solved anew at each play."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from service import read_histories

ALPHA = 40.0  # confidence that a play adds
FADE = 0.8  # the weight of the track before in the session

histories = read_histories()
tracks = sorted({track for history in histories.values() for track in history})
numbers = {track: number for number, track in enumerate(tracks)}
counts = [Counter(map(numbers.get, history)) for history in histories.values()]


def to_rows(rows: Sequence[Mapping[int, float]]) -> csr_matrix:
    """Make a matrix of confidences, which rise with the logarithm of the weight of plays."""
    ends = np.cumsum([0, *map(len, rows)])
    columns = [track for row in rows for track in row]
    values = [count for row in rows for count in row.values()]
    confidences = 1 + ALPHA * np.log1p(np.array(values, np.float32))
    return csr_matrix((confidences, columns, ends), (len(rows), len(tracks)))


model = AlternatingLeastSquares(
    factors=128, regularization=1.0, iterations=15, random_state=0
)
model.fit(to_rows(counts), show_progress=False)


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank by the product with factors that have seen the session."""
    row: dict[int, float] = defaultdict(float)
    for age, track in enumerate(reversed(session)):
        if track in numbers:
            row[numbers[track]] += FADE**age
    if not row:
        return []
    best, _ = model.recommend(
        0, to_rows([row]), n, filter_already_liked_items=False, recalculate_user=True
    )
    return [tracks[number] for number in best]
