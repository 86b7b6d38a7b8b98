"""Skips and dislikes: nothing for ALS, and negative plays in their order."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.store import Store
from looplib.memory import turn
from recsys.config import Feedback, SearchConfig, Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import load_interactions, read_plays
from recsys.errors import SearchError
from recsys.live.sessions import load_sessions
from recsys.models.blend import Blend
from recsys.store.ids import originals
from tests.recsys.opened import dataset_of
from tests.recsys.tables import Row, ingest_rows

SHARES = "listener=u,track=t,played_at=p,share=share,disliked=no"
DAY = 86_400  # seconds; each play is a session
# the share of each play of two listeners; the fifth, which is held out, is a skip
PLAYS = {"a": (1.0, 0.05, 0.9, 0.8, 0.02), "b": (0.5, 1.0, 0.05, 0.1, 0.7)}


def rows_of(amount: str, scale: float = 1.0) -> list[Row]:
    return [
        {
            "u": u,
            "t": f"t{p}",
            "p": 1_700_000_000 + DAY * p,
            amount: scale * share,
            "no": u == "b" and p == 1,
        }
        for u, shares in PLAYS.items()
        for p, share in enumerate(shares)
    ]


def config_of(store: Store, folder: Path, skip: float | None) -> SearchConfig:
    return SearchConfig(
        store=store.path,
        run=folder / "run",
        split=Split(kind="newest", holdout=0.2),
        feedback=Feedback(skip=skip),
    )


def named_plays(dataset: Dataset, store: Store) -> list[list[str]]:
    """Name the plays of each listener, skips with a minus."""
    plays = read_plays(dataset, "all")
    names = originals(store, "items", dataset.tracks).tolist()
    named = [
        names[t] if t >= 0 else f"-{names[turn(t)]}" for t in plays.tracks.tolist()
    ]
    return [named[s:e] for s, e in zip(plays.indptr, plays.indptr[1:], strict=False)]


@pytest.mark.parametrize(
    ("amount", "scale", "skip"), [("share", 1.0, 0.1), ("seconds", 200.0, 20.0)]
)
def test_skips_and_dislikes_add_nothing_and_stay_in_the_order(
    tmp_path: Path, amount: str, scale: float, skip: float
) -> None:
    columns = SHARES.replace("share=share", f"{amount}={amount}")
    store = ingest_rows(tmp_path, rows_of(amount, scale), columns)
    config = config_of(store, tmp_path, skip)
    dataset = dataset_of(config)
    plays = [["t0", "-t1", "t2", "t3", "-t4"], ["t0", "-t1", "-t2", "t3", "t4"]]
    assert named_plays(dataset, store) == plays
    assert (dataset.matrix("all").toarray() > 0).sum(axis=1).tolist() == [3, 3]
    train = load_interactions(dataset, "training", is_ordered=True)
    assert train.plays is not None
    assert train.plays.counts.tolist() == [4, 4]
    assert train.ordered_plays.counts.tolist() == [3, 2]
    heldout = pq.read_table(dataset.heldout).to_pylist()
    assert [row["skipped"] for row in heldout] == [1, 0]
    assert [row["time"] for row in heldout] == pytest.approx([0, 0.7 * scale])
    sessions = load_sessions(store, config, dataset)
    assert sessions.tracks.tolist() == read_plays(dataset, "all").tracks.tolist()


def test_without_a_limit_dislikes_alone_count(tmp_path: Path) -> None:
    store = ingest_rows(tmp_path, rows_of("share"), SHARES)
    dataset = dataset_of(config_of(store, tmp_path, None))
    first, second = named_plays(dataset, store)
    assert first == ["t0", "t1", "t2", "t3", "t4"]
    assert second == ["t0", "-t1", "t2", "t3", "t4"]


@pytest.mark.parametrize(
    ("amount", "skip", "problem"),
    [
        (
            "share",
            30,
            "feedback.skip 30 is compared with seconds, and the rows of .* have none",
        ),
        (
            "seconds",
            0.1,
            r"feedback.skip 0\.1 is compared with share, and .* above 1 seconds",
        ),
    ],
)
def test_a_limit_that_the_store_has_no_numbers_for_is_refused(
    tmp_path: Path, amount: str, skip: float, problem: str
) -> None:
    columns = SHARES.replace("share=share", f"{amount}={amount}")
    store = ingest_rows(tmp_path, rows_of(amount), columns)
    with pytest.raises(SearchError, match=problem):
        dataset_of(config_of(store, tmp_path, skip))


@pytest.mark.slow
def test_the_blend_learns_that_a_skipped_track_is_not_played_next(
    tmp_path: Path,
) -> None:
    """Each listener plays all tracks again and again, but for those that were skipped."""
    generator = np.random.default_rng(1)
    rows: list[Row] = []
    for listener in range(60):
        refused = set(generator.choice(20, 8, replace=False).tolist())
        for position in range(80):
            track = int(generator.integers(20))
            share = 0.01 if track in refused and position > 20 else 1.0
            rows.append(
                {
                    "u": listener,
                    "t": track,
                    "p": 1_700_000_000 + DAY * position,
                    "share": share,
                }
            )
    store = ingest_rows(tmp_path, rows, "listener=u,track=t,played_at=p,share=share")
    dataset = dataset_of(config_of(store, tmp_path, 0.1))
    train = load_interactions(dataset, "training", is_ordered=True)
    blend = Blend(moment="now").fit(train, seed=1, threads=1)
    best = blend.recommend(6)
    assert train.plays is not None
    skips = np.zeros(train.matrix.shape, np.bool_)
    is_skip = train.plays.tracks < 0
    skips[train.plays.listeners[is_skip], turn(train.plays.tracks[is_skip])] = True
    assert np.take_along_axis(skips, best, axis=1).mean() < 0.5 * skips.mean()
