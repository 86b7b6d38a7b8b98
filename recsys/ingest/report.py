"""What an ingest says when it is done."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.logs.reader import LineCounts, LogFile, read_rejects
from analysis.store import Interactions, Source
from recsys.store.remote import Store

SHOWN_REJECTS = 5
SHOWN_SOURCES = 20
_KEY = "user, item, timestamp and session"


@dataclass(frozen=True)
class AddedSource:
    """A log that is now in the store, and the file of its rejects, if any."""

    source: Source
    rejects: Path | None


@dataclass(frozen=True)
class IngestReport:
    """The store after a run, what the run added, and the files whose content was there before.

    Attributes:
        repeats: Good rows whose weight was added to an equal row's; of interactions alone.
    """

    store: Store
    added: tuple[AddedSource, ...]
    known: tuple[LogFile, ...]
    repeats: int = 0

    @property
    def lines(self) -> LineCounts:
        """Lines of what was added."""
        return sum((added.source.lines for added in self.added), LineCounts(0, 0, 0, 0))


def print_report(report: IngestReport) -> None:
    """Prints the sources, their first rejects, and the store."""
    console = Console(soft_wrap=True)
    if report.added:
        console.print(_sources_table(report))
    for added in report.added:
        if added.rejects:
            _print_rejects(console, added, added.rejects)
    for file in report.known:
        console.print(Text(f"{file.name}: its content is in the store already, nothing added"))
    store = report.store
    rows = "interactions" if store.interactions else "events"
    if report.repeats:
        console.print(Text(f"{report.repeats:,} rows repeat another's {_KEY}: their weights are added up"))
    if store.interactions:
        console.print(Text(_ids_sentence(store.interactions)))
    size = f"{store.events:,} {rows} in {store.buckets} buckets, {store.bytes / 1e6:,.1f} MB"
    console.print(Text(f"{store.workspace}: {size}, digest {store.digest}"))


def _ids_sentence(interactions: Interactions) -> str:
    users = "text" if interactions.text_users else "whole numbers"
    items = "text" if interactions.text_items else "whole numbers"
    return f"users are {users}, items are {items}; exported lists carry them as they came in"


def _sources_table(report: IngestReport) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("source", overflow="fold")
    for column in ("read", "=", "good", "+", "rejected", "+", "blank"):
        table.add_column(column, justify="right")
    table.add_column("")
    shown = report.added if len(report.added) <= SHOWN_SOURCES else _worth_showing(report.added)
    for added in shown:
        _add_row(table, added.source.name, added.source.lines)
    if len(shown) < len(report.added):
        table.add_row(f"… and {len(report.added) - len(shown):,} more, all lines good")
    if len(report.added) > 1:
        _add_row(table, f"{len(report.added):,} sources", report.lines)
    return table


def _worth_showing(added: tuple[AddedSource, ...]) -> tuple[AddedSource, ...]:
    return tuple(one for one in added if one.source.lines.good < one.source.lines.read)


def _add_row(table: Table, name: str, lines: LineCounts) -> None:
    counts = (f"{lines.read:,}", "=", f"{lines.good:,}", "+", f"{lines.rejected:,}", "+", f"{lines.blank:,}")
    table.add_row(Text(name), *counts, "" if lines.good else "0 good lines")


def _print_rejects(console: Console, added: AddedSource, file: Path) -> None:
    for reject in read_rejects(file, SHOWN_REJECTS):
        console.print(Text(f"  {reject.file}:{reject.line}: {reject.reason}"))
    more = added.source.lines.rejected - SHOWN_REJECTS
    console.print(Text(f"  {f'and {more:,} more' if more > 0 else 'kept'} in {file}"))
