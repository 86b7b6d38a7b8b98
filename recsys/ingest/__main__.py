"""`listening-loop ingest FILE… --store DIR`: add logs or tables to a session store.

In: event logs, and the `collection.json` that the simulator writes beside them; or plays and
interactions in CSV, JSON lines or Parquet. Out: a session store (`recsys.store`).
"""

import re
import sys
from collections import Counter
from dataclasses import replace
from typing import Annotated

import typer
from annotated_types import Ge, Le
from pydantic import Field
from rich.text import Text

from looplib.cli import importing, make_app, run
from looplib.config import Config, load_config
from looplib.tables import output

with importing():
    from analysis.logs.columns import Reading, parse_columns
    from analysis.logs.lines import LineCounts
    from analysis.logs.reader import read_rejects
    from recsys.errors import IngestError
    from recsys.ingest.pipeline import DEFAULT_MEMORY, IngestReport, ingest
    from recsys.ingest.presets import PRESETS, Preset
    from recsys.ingest.sources import MOST_KEPT_BYTES

PROG = "listening-loop ingest"
SHOWN_REASONS = 10
SHOWN_SOURCES = 20
MOST_REJECTED = 0.05  # share of the lines above which the command fails
# what is wrong with a line, between its first word and what is allowed
_FOUND = re.compile(r"^(\w+) .+?( is (?:no|neither|a) |; )")
_ROLES = (
    "Columns of a table by what they hold: user= and item=; "
    "of plays share= of the track that was heard, or played= and duration=, "
    "with timestamp= or session=, and any of position=, organic=, propensity=; "
    "of interactions any of weight=, timestamp=, session=; of both title=, artist=."
)
app = make_app(
    "Add event logs, or plays and interactions of your own, to a session store: "
    "all of them, or nothing."
)


class Settings(Config):
    """Settings that few ingests change."""

    percent: bool | None = Field(
        default=None, description="shares of a table are 0 to 100"
    )
    header: bool | None = Field(
        default=None,
        description="CSV files begin with names, else their columns are 1, 2, …",
    )
    buckets: Annotated[int, Ge(1), Le(4096)] | None = Field(
        default=None, description="of a new store; 16 by default"
    )
    memory: str = Field(
        default=DEFAULT_MEMORY,
        description="what DuckDB may use before it spills to the disk",
    )


_SETTINGS = "; ".join(
    f"{name}: {field.description}" for name, field in Settings.model_fields.items()
)


@app.command(
    epilog="Example: listening-loop ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store; "
    "listening-loop ingest plays/ --store out/plays "
    "--columns user=uid,item=song,share=heard,timestamp=ts; "
    "listening-loop ingest listens.parquet --store out/yambda --preset yambda"
)
def main(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="Files, folders, or quoted patterns."),
    ],
    store: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="The store's folder, or an address; made if none is."
        ),
    ],
    columns: Annotated[str | None, typer.Option(help=_ROLES)] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Published data set of the files; other options win."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="SQL condition of the rows to take, such as 'is_organic = false'."
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help=r"Of CSV files, such as :: or \t; by default detected."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=_SETTINGS)
    ] = None,
    allow_rejects: Annotated[
        bool,
        typer.Option(help="Succeed where more than 5 % of the lines are rejected."),
    ] = False,
) -> int:
    """Ingest the files."""
    settings = load_config(Settings, None, set_ or ())
    given = {"where": where, **settings.model_dump(include={"percent", "header"})}
    given["delimiter"] = "\t" if delimiter == r"\t" else delimiter
    given = {name: value for name, value in given.items() if value is not None}
    reading = None
    if columns or preset:
        given |= {"columns": parse_columns(columns)} if columns else {}
        reading = replace(PRESETS[preset], **given) if preset else Reading(**given)
    elif given:
        raise IngestError(
            f"{next(iter(given))} belongs to tables of plays or interactions, "
            "with --columns or --preset"
        )
    report = ingest(
        files, store, reading, buckets=settings.buckets, memory=settings.memory
    )
    print_report(report)
    share = report.lines.rejected / max(report.lines.read, 1)
    if allow_rejects or share <= MOST_REJECTED:
        return 0
    typer.echo(
        f"{share:.0%} of the lines are rejected, above 5 %: read them otherwise, into a new store, "
        "or say --allow-rejects"
    )
    return 1


def print_report(report: IngestReport) -> None:
    """Print the sources (of very many, those with rejects), why lines are no good, the store."""
    store = report.store
    manifest = store.manifest
    lines = [
        _counted(source.name, source.lines)
        for source in report.added
        if len(report.added) <= SHOWN_SOURCES or source.lines.rejected
    ]
    if len(report.added) > 1:
        lines.append(_counted(f"{len(report.added):,} sources", report.lines))
    lines += _describe_rejects(report)
    lines += [
        f"{file.name}: its content is in the store already, nothing added"
        for file in report.known
    ]
    if report.repeats and manifest.interactions:
        key = "user, item, timestamp and session"
        lines.append(
            f"{report.repeats:,} rows repeat another's {key}: their weights are added up"
        )
    elif report.repeats:
        key = "user, message and request"
        lines.append(
            f"{report.repeats:,} events have another's {key}: they are counted once"
        )
    if facts := manifest.table:
        kinds = {True: "text", False: "whole numbers"}
        users, items = kinds[facts.text_users], kinds[facts.text_items]
        lines.append(
            f"users are {users}, items are {items}; exported lists carry them as they came in"
        )
    rows = "interactions" if manifest.interactions else "events"
    size = f"{manifest.events:,} {rows} in {manifest.buckets} buckets, {store.bytes / 1e6:,.1f} MB"
    lines.append(f"{store.workspace}: {size}, digest {manifest.digest}")
    output().print(Text("\n".join(lines)), soft_wrap=True)


def _describe_rejects(report: IngestReport) -> list[str]:
    """Return a table of the reasons, the most frequent first, with the first line of each."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for source in report.added:
        if not source.lines.rejected:
            continue
        for reject in read_rejects(report.store.path / source.rejects):
            reason = _FOUND.sub(r"\1 …\2", reject.reason)
            counts[reason] += 1
            first.setdefault(reason, f"{reject.file}:{reject.line}: {reject.reason}")
    lines = [
        f"{count:>10,}  {reason}\n{'':12}first {first[reason]}"
        for reason, count in counts.most_common(SHOWN_REASONS)
    ]
    if len(counts) > SHOWN_REASONS:
        lines.append(f"{'':12}and {len(counts) - SHOWN_REASONS:,} more reasons")
    more = report.lines.rejected - counts.total()
    if more:
        kept = f"{MOST_KEPT_BYTES / 2**20:g} MiB of rejects are kept of a file"
        lines.append(f"{more:>10,}  more; {kept}")
    if lines:
        lines = [
            "rejected lines by reason:",
            *lines,
            f"{'':12}they are in {report.store.path / 'rejects'}",
        ]
    return lines


def _counted(name: str, lines: LineCounts) -> str:
    kinds = f"{lines.good:,} good + {lines.rejected:,} rejected"
    return f"{name}: {lines.read:,} lines = {kinds}"


if __name__ == "__main__":
    sys.exit(run(app, PROG))
