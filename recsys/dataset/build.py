"""Build a dataset from a session store: workers prepare its partitions, which then are joined."""

import itertools
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.logs.field_types import LARGEST_ID, integers
from analysis.store import Store, number_of
from looplib.arrays import IntArray, column_values
from looplib.checksums import seal
from looplib.files import atomic_write_json, sha256_file
from looplib.progress import say
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import Summary
from recsys.dataset.features import CATEGORICAL, Features, make_features, read_columns
from recsys.dataset.interactions import Plays
from recsys.dataset.layout import (
    DIMENSIONS,
    GROUPS,
    LATEST,
    PIECES,
    PLAYS_HELDOUT,
    PLAYS_INDPTR,
    PLAYS_TRACKS,
    POINTS,
    SPLITS,
    SUMMARY,
    TRACKS,
    USERS,
    WIDTHS,
    save_array,
)
from recsys.dataset.matrices import (
    read_pieces,
    read_tracks,
    track_columns,
    user_rows,
    write_matrices,
    write_plays,
)
from recsys.dataset.noise import mark_noise
from recsys.dataset.partitions import count_starts, find_cutoff, prepare_partition
from recsys.dataset.plan import DatasetPlan
from recsys.dataset.split import SplitRule
from recsys.errors import SearchError, StoreError
from recsys.storage import Workspace, open_workspace
from recsys.store.ids import originals, read_titles

Report = Callable[[float, str], None]


def build_dataset(
    store: Store,
    plan: DatasetPlan,
    folder: Path,
    run: Workspace,
    cluster: Cluster,
    report: Report,
) -> None:
    """Write a dataset into an empty folder, with a task for each partition of the store.

    Workers leave their files in the run. `report` is called with the percentage that is done, and a
    note.

    Raises:
        SearchError: No session is left for training, or for validation.
    """
    address = open_workspace(store.address).address
    # parts are sorted by it
    groups = itertools.groupby(store.manifest.parts, key=lambda part: part.of)
    partitions = [(address, tuple(parts)) for _, parts in groups]
    rule = plan.rule
    if rule.split.kind == "time":
        counting = [(*partition, rule) for partition in partitions]
        starts = list(cluster.run(count_starts, counting))
        rule = replace(rule, cutoff_ms=find_cutoff(starts, rule.split.holdout))
    pieces = run.sub(PIECES)
    settings = (pieces.address, rule, plan.feedback)
    calls = [(*partition, *settings) for partition in partitions]
    run.delete(PIECES)
    try:
        counts: Counter[str] = Counter()
        prepared = cluster.run(prepare_partition, calls)
        for done, counted in enumerate(prepared, start=1):
            counts.update(counted)
            report(95 * done / len(calls), f"{done} of {len(calls)} partitions")
        _check_splits(counts, rule)
        ((trained, heard),) = cluster.run(find_tracks, [(pieces.address,)])
        # only this machine may have the catalogue
        numbered = _number_tracks(store, plan, trained, heard)
        joining = (pieces.address, plan, *numbered)
        ((sizes, files, noise),) = cluster.run(join_pieces, [joining])
        for name in noise:
            say(
                f"features.{name} is left out: tracks that follow each other are no more "
                "alike in it than tracks at random"
            )
        pieces.download(*files)
        for name in files:
            shutil.move(pieces.folder / name, folder / name)
    finally:
        run.delete(PIECES)
    summary = Summary(digest=plan.digest, **(sizes | counts), files=files)
    atomic_write_json(folder / SUMMARY, seal(summary))


def _check_splits(counts: Counter[str], rule: SplitRule) -> None:
    sessions = counts["sessions"]
    heldout = counts["heldout_sessions"]
    if 0 < heldout < sessions:
        return
    split = rule.split
    share = ""
    if split.kind in ("session_hash", "newest", "time"):
        share = f" and holdout {split.holdout}"
    raise SearchError(
        f"split {split.kind}{share} holds out {heldout:,} of {sessions:,} sessions; "
        "training and validation need at least one each: ingest more sessions or change "
        "split.kind and split.holdout"
    )


def find_tracks(pieces: str) -> tuple[IntArray, IntArray]:
    """List the ids of the tracks played in training sessions, and in all; both ascending."""
    workspace = open_workspace(pieces)
    workspace.download(*workspace.names())
    return read_tracks(workspace.folder)


def join_pieces(
    pieces: str,
    plan: DatasetPlan,
    tracks: IntArray,
    training_tracks: int,
    features: Features,
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Join the workers' tables into the files of a dataset, one table in memory at a time.

    Args:
        pieces: Address of the tables, and of the files.
        plan: The settings of the dataset.
        tracks: Ids by column.
        training_tracks: Number of the first columns that the training split has.
        features: Features of the tracks.

    Returns:
        The sizes that a `Summary` has, the SHA-256 of each file, and the names of features that
            are left out.
    """
    workspace = open_workspace(pieces)
    workspace.download(*workspace.names())
    folder = workspace.folder
    table = pa.concat_tables(read_pieces(folder, "users")).sort_by("user")
    users = column_values(table["user"])
    for split in SPLITS:
        save_array(folder / LATEST.format(split), column_values(table[split]))
    if len(users) < 2:
        raise SearchError("all rows are of one listener; at least two are needed")
    counts = write_matrices(folder, users, tracks, training_tracks, plan.feedback)
    _write_heldout(folder, users, tracks)
    noise: list[str] = []
    if plan.rule.is_ordered:
        write_plays(folder, users, tracks)
        indptr, played, is_heldout = (
            np.load(folder / name, mmap_mode="r")
            for name in (PLAYS_INDPTR, PLAYS_TRACKS, PLAYS_HELDOUT)
        )
        is_noise = mark_noise(features, Plays(indptr, played), is_heldout)
        noise += itertools.compress(features.names, is_noise)
        features = features.drop(is_noise)
    save_array(folder / GROUPS, features.groups)
    save_array(folder / WIDTHS, features.widths)
    save_array(folder / POINTS, features.points)
    save_array(folder / DIMENSIONS, features.dimensions)
    save_array(folder / USERS, users)
    save_array(folder / TRACKS, tracks)
    made = sorted(file for file in folder.iterdir() if file.suffix != ".arrow")
    files = {file.name: sha256_file(file) for file in made}
    workspace.upload(*files)
    sizes = {
        "listeners": len(users),
        "tracks": len(tracks),
        "training_tracks": training_tracks,
        "categories": tuple(features.names[: len(features.widths) - 1]),
        "unplayed": plan.unplayed,
        "numbers": len(features.groups) + features.points.shape[1],
        "interactions": int(counts.sum()),
        "training_listeners": int(np.count_nonzero(counts)),
    }
    return sizes, files, noise


def _number_tracks(
    store: Store,
    plan: DatasetPlan,
    trained: IntArray,
    heard: IntArray,
) -> tuple[IntArray, int, Features]:
    """List the tracks of a dataset with their features.

    They are all tracks of the store's catalogue, if its ids are 0..n-1; or else the tracks heard,
    and other tracks of their artists or categories, or with a vector, in a catalogue. Tracks and
    categories of training come first, so that no number depends on the held-out sessions.

    Args:
        store: Its titles name the artists if there is no catalogue.
        plan: The catalogue and its columns.
        trained: Ids heard in training sessions, ascending; not needed with a catalogue in the
            store.
        heard: Ids heard in all sessions, ascending.

    Returns:
        The ids of tracks, how many of them exist in training, and their features.

    Raises:
        StoreError: The catalogue is of other tracks, or cannot be read.
    """
    catalogue = plan.catalogue
    titles = read_titles(catalogue, store)
    columns = read_columns(catalogue, plan.features) if catalogue else {}
    for name in plan.features.keys() - columns.keys():
        say(
            f"features.{name} is left out: it is constant, or less than a tenth of the "
            f"tracks of {catalogue} have it"
        )
    size = store.manifest.catalogue_size
    splits = [trained, heard] if size is None else [np.arange(size)] * 2
    if catalogue and size is None and plan.unplayed:
        is_text = store.manifest.text_items
        numbers = (
            (track, number_of(track) if is_text else int(track))
            for track in titles
            if is_text or track.isdecimal()
        )
        id_of = {track: id_ for track, id_ in numbers if id_ <= LARGEST_ID}
        named = {t: [title.artist] for t, title in titles.items() if title.artist}
        categories = [
            column
            for name, column in columns.items()
            if plan.features[name] in CATEGORICAL
        ]
        for name, column in columns.items():
            if plan.features[name] == "vector":
                near = [id_of[track] for track in column if track in id_of]
                splits = [
                    np.union1d(split, np.array(near, np.int64)) for split in splits
                ]
        for column in (named, *categories):
            groups_of = {id_of[t]: {*of} for t, of in column.items() if t in id_of}
            for split, ids in enumerate((trained, heard)):
                played = set().union(*(groups_of.get(id_, ()) for id_ in ids.tolist()))
                near = [id_ for id_, of in groups_of.items() if played & of]
                splits[split] = np.union1d(splits[split], np.array(near, np.int64))
    first, everything = splits
    tracks = np.append(first, np.setdiff1d(everything, first))
    ids = originals(store, "items", tracks, titles).tolist()
    listed = sum(str(track) in titles for track in ids)
    if catalogue and 2 * listed < len(ids) and size is None:
        raise StoreError(
            f"{catalogue}: names {listed:,} of the {len(ids):,} tracks of {store}, so it "
            "belongs to another store; leave it out: --set catalogue=null"
        )
    names = [str(track) for track in ids]
    artists = [title.artist if (title := titles.get(name)) else "" for name in names]
    features = make_features(artists, columns, plan.features, names, len(first))
    return tracks, len(first), features


def _write_heldout(folder: Path, users: IntArray, tracks: IntArray) -> None:
    """Write held-out listening by row of the user."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own has twice the page faults
    table = pa.concat_tables(read_pieces(folder, "heldout"))
    rows = user_rows(table, users)
    columns = {
        "user": integers(rows),
        "track": integers(track_columns(column_values(table["track"]), tracks)),
        "time": table["time"],
        "skipped": table["skipped"],
    }
    # Each partition is in order, and has all of a listener.
    order = integers(np.argsort(rows, kind="stable"))
    pq.write_table(pa.table(columns).take(order), folder / "heldout.parquet")
