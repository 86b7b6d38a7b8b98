"""`listening-loop ingest FILE… --store DIR`: add logs or tables to a session store.

In: event logs, and the `collection.json` that the simulator writes beside them; or plays and
interactions in CSV, JSON lines or Parquet. Out: a session store (`recsys.store`).
"""

import re
import sys
from collections import Counter
from typing import Annotated

import typer
from annotated_types import Ge, Le
from pydantic import Field
from rich.text import Text

from looplib.cli import importing, make_app, run
from looplib.config import Config, Memory, load_config
from looplib.tables import output

with importing():
    from analysis.logs.reader import read_rejects
    from analysis.store import REJECTS
    from analysis.tables.columns import parse_columns
    from recsys.ingest.pipeline import DEFAULT_MEMORY, IngestReport, ingest
    from recsys.ingest.presets import PRESETS, make_reading

PROG = "listening-loop ingest"
SHOWN_REASONS = 10
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


class IngestSettings(Config):
    """Settings that few ingests change."""

    percent: bool | None = Field(
        default=None, description="shares of a table are 0 to 100"
    )
    header: bool | None = Field(
        default=None,
        description="CSV files begin with names, else their columns are 1, 2, …",
    )
    partitions: Annotated[int, Ge(1), Le(4096)] | None = Field(
        default=None, description="of a new store; 16 by default"
    )
    memory: Memory = Field(
        default=DEFAULT_MEMORY,
        description="what DuckDB may use before it spills to the disk",
    )


_SETTINGS = "; ".join(
    f"{name}: {field.description}"
    for name, field in IngestSettings.model_fields.items()
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
        str | None,
        typer.Option(
            help=f"Published data set of the files: {', '.join(PRESETS)}; other options win."
        ),
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
    settings = load_config(IngestSettings, None, set_ or ())
    options = settings.model_dump(include={"percent", "header"})
    options["where"] = where
    options["delimiter"] = "\t" if delimiter == r"\t" else delimiter
    reading = make_reading(preset, parse_columns(columns) if columns else None, options)
    report = ingest(
        files, store, reading, partitions=settings.partitions, memory=settings.memory
    )
    print_report(report)
    share = report.lines.rejected / max(report.lines.read, 1)
    if allow_rejects or share <= MOST_REJECTED:
        return 0
    typer.echo(
        f"{share:.1%} of the lines are rejected, above {MOST_REJECTED:.0%}: read them otherwise, "
        "into a new store, or say --allow-rejects",
        err=True,
    )
    return 1


def print_report(report: IngestReport) -> None:
    """Print what was read, why lines are no good, and what the store holds now."""
    store = report.store
    counts = report.lines
    manifest = store.manifest
    lines = [
        f"{len(report.added):,} new files: {counts.read:,} lines = "
        f"{counts.good:,} good + {counts.rejected:,} rejected",
        *_describe_rejects(report),
    ]
    lines += [
        f"{file.name}: its content is in the store already, nothing added"
        for file in report.repeated
    ]
    if report.repeats:
        lines.append(
            f"{report.repeats:,} rows repeat another's user, item, timestamp and session: their "
            "weights are added up"
            if manifest.holds == "interactions"
            else f"{report.repeats:,} events have another's user, message and request: "
            "they are counted once"
        )
    size_mb = sum(part.bytes for part in manifest.parts) / 1e6
    lines.append(
        f"{store}: {manifest.events:,} {manifest.holds} in {manifest.partitions} partitions, "
        f"{size_mb:,.1f} MB, digest {manifest.digest}"
    )
    output().print(Text("\n".join(lines)), soft_wrap=True)


def _describe_rejects(report: IngestReport) -> list[str]:
    """Describe the reasons, the most frequent first, with the first line of each."""
    store = report.store.path
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for source in report.added:
        rejected = source.lines.rejected
        for reject in read_rejects(store / source.rejects) if rejected else ():
            reason = _FOUND.sub(r"\1 …\2", reject.reason)
            counts[reason] += 1
            first.setdefault(reason, f"{reject.file}:{reject.line}: {reject.reason}")
    lines = [
        f"{count:>10,}  {reason}\n{'':12}first {first[reason]}"
        for reason, count in counts.most_common(SHOWN_REASONS)
    ]
    if lines:
        total = counts.total()
        place = store / REJECTS
        lines.insert(0, f"{total:,} rejected lines are kept in {place}; by reason:")
    return lines


if __name__ == "__main__":
    sys.exit(run(app, PROG))
