"""The rule of a split: whether the store allows it, and which files or times are held out."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

import numpy as np

from analysis.store import Source
from looplib.arrays import IntArray
from recsys.config import SearchConfig, Split
from recsys.errors import SplitError
from recsys.store.remote import Store

_NEED_TIME = ("time", "last_session")
_SHOWN_SOURCES = 5


@dataclass(frozen=True)
class SplitRule:
    """A split with all that it needs to know of the whole store."""

    split: Split
    seed: int
    cutoff_ms: int | None = None  # for split by time: sessions that begin then or later are held out
    is_weighted: bool = False  # the store holds interactions, whose weights are added up
    train: tuple[str, ...] = ()  # for split by files: digests of those to learn from
    test: tuple[str, ...] = ()  # and of those to validate on


def find_cutoff_ms(minutes: IntArray, sessions: IntArray, holdout: float) -> int:
    """Find the first millisecond of the minute from which on at most a share `holdout` of all sessions begins.

    Both arrays are of shape (n,): minutes since the epoch, in any order and with repeats, and the sessions of each.
    """
    distinct, position = np.unique(minutes, return_inverse=True)
    counts = np.bincount(position, weights=sessions)
    from_here_on = counts[::-1].cumsum()[::-1]
    allowed = np.flatnonzero(from_here_on <= holdout * counts.sum())
    first = int(distinct[allowed[0]]) if len(allowed) else int(distinct[-1]) + 1
    return first * 60_000


def split_rule(store: Store, config: SearchConfig) -> SplitRule:
    """Return the rule of a search's split, without the cutoff of a split by time.

    Raises:
        SplitError: The store lacks what the split or the feedback needs.
    """
    _check_needs(store, config)
    train, test = file_sides(store, config.split)
    return SplitRule(
        config.split, config.seed, is_weighted=store.manifest.interactions is not None, train=train, test=test
    )


def file_sides(store: Store, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the digests of the files to learn from and of those to validate on, each sorted; empty in other splits.

    A file is found by its name when it was ingested, by the last part of that name, or by a pattern of either.

    Raises:
        SplitError: The store holds events, a name matches no file, or a file is on both sides.
    """
    if split.kind != "files":
        return (), ()
    if store.manifest.interactions is None:
        raise SplitError(f"split.kind files needs a store of interactions; {store.workspace} holds events")
    train, test = (
        {source.digest: source for name in names for source in _named(store, side, name)}
        for side, names in (("train", split.train), ("test", split.test))
    )
    if both := sorted(train.keys() & test.keys()):
        raise SplitError(f"{train[both[0]].name}: in split.train and in split.test; a file is on one side")
    return tuple(sorted(train)), tuple(sorted(test))


def _named(store: Store, side: str, name: str) -> list[Source]:
    sources = store.manifest.sources
    found = [
        source
        for source in sources
        if any(fnmatchcase(known, name) for known in (source.name, PurePath(source.name).name))
    ]
    if not found:
        known = ", ".join(sorted(source.name for source in sources)[:_SHOWN_SOURCES])
        raise SplitError(f"split.{side}: no file {name} in {store.workspace}; it has {known}")
    return found


def _check_needs(store: Store, config: SearchConfig) -> None:
    interactions = store.manifest.interactions
    if interactions is None:
        return
    for key, organic in (("feedback", config.feedback.organic), ("validation", config.validation.organic)):
        if not organic:
            raise SplitError(f"{key}.organic: false needs event logs, and {store.workspace} holds interactions")
    if config.feedback.skip_time:
        raise SplitError(f"feedback.skip_time needs event logs, and {store.workspace} holds interactions")
    if config.split.kind in _NEED_TIME and "timestamp" not in interactions.columns:
        raise SplitError(
            f"split.kind {config.split.kind} needs timestamps, and the interactions of {store.workspace} have none; "
            "session_hash and files do without"
        )
