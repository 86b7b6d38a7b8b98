"""What a split asks of the store: that it can be made there at all, and which files are on which side."""

from fnmatch import fnmatchcase
from pathlib import PurePath

from recsys.config import SearchConfig, Split
from recsys.errors import SplitError
from recsys.interactions import SplitRule, weights_of
from recsys.store import Source, Store

_NEED_TIME = ("time", "last_session")
_SHOWN_SOURCES = 5


def split_rule(store: Store, config: SearchConfig) -> SplitRule:
    """The rule of a search's split, but for the cutoff of a split by time.

    Raises:
        SplitError: The store has not what the split or the feedback needs.
    """
    _check_needs(store, config)
    train, test = file_sides(store, config.split)
    return SplitRule(
        config.split,
        config.seed,
        is_weighted=store.interactions is not None,
        train=train,
        test=test,
        weights=weights_of(config.feedback.propensity_weighting, store.catalogue.tracks if store.catalogue else None),
    )


def file_sides(store: Store, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The digests of the files to learn from and of those to validate on, each sorted; empty in any other split.

    A file is named as it was when it was ingested, by its whole name, its last part, or a pattern of one of these.

    Raises:
        SplitError: The store holds events, a name stands for no file, or a file is on both sides.
    """
    if split.kind != "files":
        return (), ()
    if store.interactions is None:
        raise SplitError(f"split.kind files needs a store of interactions; {store.path} holds events")
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
        source for source in sources if any(fnmatchcase(of, name) for of in (source.name, PurePath(source.name).name))
    ]
    if not found:
        known = ", ".join(sorted(source.name for source in sources)[:_SHOWN_SOURCES])
        raise SplitError(f"split.{side}: no file {name} in {store.path}; it has {known}")
    return found


def _check_needs(store: Store, config: SearchConfig) -> None:
    if store.interactions is None:
        return
    for key, organic in (("feedback", config.feedback.organic), ("validation", config.validation.organic)):
        if not organic:
            raise SplitError(f"{key}.organic: false needs event logs, and {store.path} holds interactions")
    for key in ("skip_time", "propensity_weighting"):
        if getattr(config.feedback, key):
            raise SplitError(f"feedback.{key} needs event logs, and {store.path} holds interactions")
    if config.split.kind in _NEED_TIME and "timestamp" not in store.interactions.columns:
        raise SplitError(
            f"split.kind {config.split.kind} needs timestamps, and the interactions of {store.path} have none; "
            "session_hash and files do without"
        )
