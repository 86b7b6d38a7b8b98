"""RecTools' SASRec with a gBCE loss; the session is its input."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from service import read_histories

LENGTH = 50  # tracks of a sequence

torch.manual_seed(0)
parts = [
    history[start : start + LENGTH]
    for history in read_histories().values()
    for start in range(0, len(history), LENGTH)
]
rows = [
    (number, track, place)
    for number, tracks in enumerate(parts)
    for place, track in enumerate(tracks)
]
plays = pd.DataFrame(rows, columns=[Columns.User, Columns.Item, Columns.Datetime])
plays[Columns.Datetime] = pd.to_datetime(plays[Columns.Datetime], unit="s")
plays[Columns.Weight] = 1.0
model = SASRecModel(
    epochs=16,
    lr=0.005,
    loss="gBCE",
    n_negatives=16,
    gbce_t=0.75,
    n_factors=64,
    n_heads=2,
    batch_size=16,
    session_max_len=LENGTH,
    train_min_user_interactions=2,
    dataloader_num_workers=0,
).fit(Dataset.construct(plays))
tracks = model.data_preparator.item_id_map.external_ids.tolist()  # the first pads
numbers = {track: number for number, track in enumerate(tracks)}
network = model.lightning_model.torch_model.eval()
torch.set_num_threads(1)
with torch.no_grad():
    items = network.item_model.get_all_embeddings()


def recommend(listener: Hashable, session: list[Hashable], n: int) -> list[Hashable]:
    """Rank by the product with the state after the last track."""
    latest = [numbers[track] for track in session if track in numbers][-LENGTH:]
    padded = [0] * (LENGTH - len(latest)) + latest
    with torch.no_grad():
        state = network.encode_sessions({"x": torch.tensor([padded])}, items)[0, -1]
        scores = (items @ state).numpy()
    best = np.argpartition(-scores[1:], n)[:n] + 1
    return [tracks[number] for number in best[np.argsort(-scores[best])]]
