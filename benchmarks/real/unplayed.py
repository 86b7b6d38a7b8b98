"""Tracks without plays: a tenth of the tracks is hidden from training, and ranked among itself.

The first 80 % of each listener's plays train, without those of hidden tracks; the catalogue names
all tracks of these plays with their artists. The targets of a listener are the hidden tracks in the
rest, by artists that somebody has played before. A track that is first played in the rest is in no
catalogue, so it is no target.
"""

import json
import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.real.files import read_table, write_table
from benchmarks.real.peers import Work
from benchmarks.real.plays import HELD_OUT, K, first_plays, flags
from benchmarks.real.product import THREADS, plan_search
from benchmarks.real.tables import SEED, Table, differences, mean_interval, ndcg, text
from looplib.arrays import NO_TRACK, BoolArray, Int32Array
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import load_interactions, read_features
from recsys.dataset.matrices import track_columns
from recsys.models.als import Als
from recsys.models.blend import Blend
from recsys.models.factors import Factors, keep_tracks
from recsys.models.sparse import rank_rows
from tests.recsys.opened import dataset_of

HIDDEN = 10  # a tenth of the tracks
LISTED = 600  # no fewer than the candidates of the blend
COLUMNS = {name: name for name in ("listener", "track", "position")}
RULE, OURS = "the listener's plays of the artist", "blend (ours)"
WITH_ALBUMS = "blend (ours), with albums"
_ITERATIONS = 8


def measure(file: Path, work: Work, title: str) -> Table:
    """Rank hidden tracks by what is known of their artists."""
    plays = read_table(file)
    listener, track = plays["listener"].to_numpy(), plays["track"].to_numpy()
    is_first = first_plays(plays)
    is_hidden = hide(track)
    training, catalogue = work.folder / "training.tsv", work.folder / "tracks.json"
    write_table(training, plays[is_first & ~is_hidden])
    first = plays[is_first]
    artists = dict(zip(first["track"].tolist(), first["artist"], strict=True))
    albums = read_albums(file)
    records = [
        {"track": id_, "artist": str(by), "album": albums.get(id_)}
        for id_, by in artists.items()
    ]
    catalogue.write_text("".join(json.dumps(record) + "\n" for record in records))
    settings = {
        "catalogue": catalogue,
        "split": {"kind": "newest", "holdout": HELD_OUT},
    }
    store = work.folder / "store"
    config = plan_search([training], store, COLUMNS, settings)
    dataset = dataset_of(config)

    is_target = is_hidden & ~is_first & np.isin(listener, dataset.users)
    is_target &= np.isin(track, dataset.tracks)  # the artist was played by somebody
    rows = np.searchsorted(dataset.users, listener[is_target])
    columns = track_columns(track[is_target], dataset.tracks)
    targets = flags(rows, columns, dataset)

    train = load_interactions(dataset, "all", is_ordered=True)
    als = Als(factors=64)
    als.fit(train, seed=SEED, threads=THREADS, iterations=_ITERATIONS)
    lists = {
        RULE: rank_by_artist(dataset),
        "als (ours)": rank_by_factors(als.factors, dataset),
        OURS: rank_by_blend(dataset, dataset),
    }
    if albums:
        features = {"features": {"album": "category"}}
        config = plan_search([training], store, COLUMNS, settings | features)
        lists[WITH_ALBUMS] = rank_by_blend(dataset_of(config), dataset)
    results = {name: ndcg(best, targets) for name, best in lists.items()}
    compared = differences(results, OURS, [RULE], "hidden")
    if albums:
        compared += differences(results, WITH_ALBUMS, [OURS], "hidden")
    return Table(
        f"{title}: NDCG@{K} among hidden tracks",
        ("", "hidden"),
        [[name, text(mean_interval(values))] for name, values in results.items()],
        compared,
    )


def read_albums(plays: Path) -> dict[int, str]:
    """Read the albums of tracks, if their file lies beside the plays."""
    file = plays.with_name(plays.name.replace("plays_", "albums_"))
    if not file.exists():
        return {}
    table = read_table(file)
    albums = table["album"].astype(str)
    return dict(zip(table["track"].tolist(), albums, strict=True))


def hide(tracks: np.ndarray) -> BoolArray:
    """Mark the hidden tracks, by a hash of their ids, shape (n,)."""
    ids, position = np.unique(tracks, return_inverse=True)
    hashes = [zlib.crc32(f"hidden {id_}".encode()) for id_ in ids.tolist()]
    is_hidden: BoolArray = (np.array(hashes) % HIDDEN == 0)[position]
    return is_hidden


def hidden_first(lists: Int32Array, dataset: Dataset) -> Int32Array:
    """Return the first hidden tracks of lists, shape (listeners, K)."""
    is_kept = (lists != NO_TRACK) & hide(dataset.tracks)[lists]
    return keep_tracks(lists, is_kept)[:, :K]


def rank_by_blend(dataset: Dataset, numbered: Dataset) -> Int32Array:
    """Return the hidden tracks that a blend ranks first, as `numbered` numbers the tracks."""
    train = load_interactions(dataset, "all", is_ordered=True)
    blend = Blend(moment="now").fit(train, seed=SEED, threads=THREADS)
    best = hidden_first(blend.recommend(LISTED, "new"), dataset)
    columns = track_columns(dataset.tracks, numbered.tracks)
    return np.where(best == NO_TRACK, NO_TRACK, columns[best]).astype(np.int32)


def rank_by_factors(factors: Factors, dataset: Dataset) -> Int32Array:
    """Return the hidden tracks with the largest products of factors, shape (listeners, K)."""
    hidden = np.flatnonzero(hide(dataset.tracks)).astype(np.int32)
    of_hidden = Factors(factors.user_factors, factors.item_factors[hidden])
    best, _ = of_hidden.rank(K, THREADS)
    ranked: Int32Array = hidden[best]
    return ranked


def rank_by_artist(dataset: Dataset) -> Int32Array:
    """Return the hidden tracks whose artists a listener has played most, shape (listeners, K)."""
    artists = read_features(dataset, "all").groups[0]
    signed = np.flatnonzero(artists >= 0)
    shape = (len(artists), int(artists.max()) + 1)
    artist_of = csr_matrix((np.ones(len(signed)), (signed, artists[signed])), shape)
    by_artist = dataset.matrix("all") @ artist_of
    is_hidden = hide(dataset.tracks)[signed]
    hidden_by = csr_matrix(
        (np.ones(is_hidden.sum()), (artists[signed[is_hidden]], signed[is_hidden])),
        shape[::-1],
    )
    return rank_rows(csr_matrix(by_artist @ hidden_by), K)
