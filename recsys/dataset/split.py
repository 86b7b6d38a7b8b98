"""Resolve a split into the sessions that are held out of training, and check the store for it.

A new kind is a name in `recsys.config.Split` and a case of
`analysis/sql/sessions/sessions.sql`, which marks the held-out sessions of a partition.
More facts of the store go into `SplitRule`, which every worker gets; `recsys.dataset.build` adds
facts of all partitions, such as the cutoff of `time`.
docs/searching.md lists the kinds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from analysis.store import Source, Store
from looplib.event_fields import SESSION_SILENCE_MS
from recsys.config import Split
from recsys.errors import SearchError

_SHOWN_SOURCES = 5


@dataclass(frozen=True)
class SplitRule:
    """A split with all that it needs to know of the whole store."""

    split: Split
    seed: int
    # sessions that begin then or later are held out, if the split is by time
    cutoff_ms: int | None = None
    is_ordered: bool = True  # the order of a listener's plays is known
    has_moments: bool = True  # and when they were
    skip: float | None = None  # `Feedback.skip`
    # digests of the files to learn from and to validate on, if the split is by files
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    @property
    def naming(self) -> dict[str, object]:
        """The parameters of `sessions/named_plays`."""
        return {
            "silence_ms": SESSION_SILENCE_MS,
            "by_row": self.split.kind == "newest",
            "has_moments": self.has_moments,
            "skip": self.skip,
            "train": list(self.train),
            "test": list(self.test),
        }

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of `sessions/sessions`."""
        kind = "session_hash" if self.train and not self.test else self.split.kind
        return {
            "kind": kind,
            "seed": self.seed,
            "holdout": self.split.holdout,
            "cutoff_ms": self.cutoff_ms,
        }


def split_rule(
    store: Store, split: Split, seed: int, skip: float | None = None
) -> SplitRule:
    """Resolve the rule of a split, without the cutoff of a split by time.

    Raises:
        SearchError: The store's plays lack a column that the split, or skips, need.
    """
    columns = store.manifest.columns
    has_moments = "timestamp" in columns
    # tables with shares have their plays in order
    is_ordered = not {"timestamp", "position", "share"}.isdisjoint(columns)
    lacking = None
    if split.kind == "newest" and not is_ordered:
        lacking = "timestamps or positions"
    elif split.kind in ("time", "last_session") and not has_moments:
        lacking = "timestamps"
    if lacking:
        raise SearchError(
            f"split.kind {split.kind} needs {lacking}, and the rows of {store} have "
            "none; choose session_hash or files, which need neither"
        )
    for key, is_lacking, needed in (
        ("gap", split.gap and not is_ordered, "timestamps or positions"),
        ("until", split.until and not has_moments, "timestamps"),
    ):
        if is_lacking:
            raise SearchError(
                f"split.{key} needs {needed}, and the rows of {store} have none; "
                "leave it out"
            )
    if skip and (unit := "share" if skip <= 1 else "seconds") not in columns:
        raise SearchError(
            f"feedback.skip {skip:g} is compared with {unit}, and the rows of {store} have none; "
            "up to 1 it is a share, above 1 seconds"
        )
    train, test = _split_files(store, split)
    return SplitRule(
        split,
        seed,
        is_ordered=is_ordered,
        has_moments=has_moments,
        skip=skip,
        train=train,
        test=test,
    )


def _split_files(store: Store, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the sorted digests of the files to learn from and to validate on."""
    if split.kind != "files":
        return (), ()
    if store.manifest.is_logged:
        raise SearchError(
            f"split.kind files needs the files of tables; {store} has event logs"
        )
    train = _find_sources(store, "train", split.train)
    test = _find_sources(store, "test", split.test)
    if both := sorted(train.keys() & test.keys()):
        raise SearchError(
            f"{train[both[0]].name}: in split.train and in split.test; a file belongs to one"
        )
    return tuple(sorted(train)), tuple(sorted(test))


def _find_sources(
    store: Store,
    key: str,
    patterns: Sequence[str],
) -> dict[str, Source]:
    """Find files by patterns of the names they were ingested by, or of their last parts."""
    sources = store.manifest.sources
    matches: dict[str, Source] = {}
    for pattern in patterns:
        files = {
            source.digest: source
            for source in sources
            if fnmatchcase(source.name, pattern)
            or fnmatchcase(PurePath(source.name).name, pattern)
        }
        if not files:
            names = sorted(source.name for source in sources)[:_SHOWN_SOURCES]
            raise SearchError(
                f"split.{key}: no file {pattern} in {store}; it has {', '.join(names)}"
            )
        matches |= files
    return matches
