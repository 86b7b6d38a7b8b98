"""Find the event logs and session stores that a report is of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.errors import StoreError
from analysis.logs.files import LogFile, discover
from analysis.store import MANIFEST, Store, open_store

_PACKED = 8  # a gzipped log is about an eighth of its text
_BYTES_OF_AN_EVENT = 200  # a line of a log; only to guess how many there are


@dataclass(frozen=True)
class Sources:
    """The logs and session stores that a report is of."""

    logs: tuple[LogFile, ...]
    stores: tuple[Store, ...]

    @property
    def events(self) -> int:
        """About how many events there are."""
        logged = sum(
            log.size_bytes * (_PACKED if log.is_gzipped else 1) for log in self.logs
        )
        return logged // _BYTES_OF_AN_EVENT + sum(
            store.manifest.events for store in self.stores
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        stores = (str(store.path) for store in self.stores)
        return (*stores, *(log.name for log in self.logs))


def find_sources(paths: Sequence[str | Path]) -> Sources:
    """Find the logs and stores that files, folders and patterns stand for.

    Raises:
        EventLogError: A path holds neither.
        StoreError: A store is damaged, or holds interactions.
    """
    stores = {
        Path(path).resolve(): Path(path)
        for path in paths
        if (Path(path) / MANIFEST).is_file()
    }
    logs = [path for path in paths if Path(path).resolve() not in stores]
    opened = tuple(open_store(path) for path in stores.values())
    for store in opened:
        if store.manifest.interactions:
            raise StoreError(
                f"{store.path}: holds interactions, which have no sessions and arms; "
                "event logs are needed"
            )
    return Sources(tuple(discover(logs)), opened)
