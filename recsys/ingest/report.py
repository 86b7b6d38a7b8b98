"""Print what an ingest read, rejected and added."""

from dataclasses import dataclass

from rich.text import Text

from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts
from analysis.logs.reader import read_rejects
from analysis.store import Source
from looplib.progress import output
from recsys.store.remote import Store

SHOWN_REJECTS = 5
SHOWN_SOURCES = 20


@dataclass(frozen=True)
class IngestReport:
    """The outcome of an ingest."""

    store: Store  # after it
    added: tuple[Source, ...]  # the new ones
    known: tuple[LogFile, ...]  # files whose content the store had before
    repeats: int = 0  # good rows whose weight was added to an equal row's; of interactions alone
    untitled: int = 0  # tracks of a table with titles that have none

    @property
    def lines(self) -> LineCounts:
        """Lines of what was added."""
        return sum((source.lines for source in self.added), LineCounts(0, 0, 0, 0))


def print_report(report: IngestReport) -> None:
    """Print the sources, of very many those alone that are not all good, their first rejects, and the store."""
    store, manifest, lines = report.store, report.store.manifest, []
    for source in report.added:
        if len(report.added) <= SHOWN_SOURCES or source.lines.good < source.lines.read:
            lines.append(_counted(source.name, source.lines))
        if source.lines.rejected:
            file = store.path / source.rejects
            shown = read_rejects(file, SHOWN_REJECTS)
            lines += [f"  {reject.file}:{reject.line}: {reject.reason}" for reject in shown]
            more = source.lines.rejected - len(shown)
            lines.append(f"  {f'and {more:,} more' if more else 'kept'} in {file}")
    if len(report.added) > 1:
        lines.append(_counted(f"{len(report.added):,} sources", report.lines))
    lines += [f"{file.name}: its content is in the store already, nothing added" for file in report.known]
    if report.repeats:
        key = "user, item, timestamp and session"
        lines.append(f"{report.repeats:,} rows repeat another's {key}: their weights are added up")
    if report.untitled:
        lines.append(f"{report.untitled:,} items have no title; pages show their ids instead")
    if facts := manifest.table:
        users, items = ("text" if is_text else "whole numbers" for is_text in (facts.text_users, facts.text_items))
        lines.append(f"users are {users}, items are {items}; exported lists carry them as they came in")
    rows = "interactions" if manifest.interactions else "events"
    size = f"{manifest.events:,} {rows} in {manifest.buckets} buckets, {store.bytes / 1e6:,.1f} MB"
    lines.append(f"{store.workspace}: {size}, digest {manifest.digest}")
    output().print(Text("\n".join(lines)), soft_wrap=True)


def _counted(name: str, lines: LineCounts) -> str:
    return f"{name}: {lines.read:,} lines = {lines.good:,} good + {lines.rejected:,} rejected + {lines.blank:,} blank"
