"""Report the counts of an ingest: events, of which new; sources; repeats and rejects."""

import re
from collections import Counter

from analysis.logs.reader import read_rejects
from analysis.store import REJECTS
from recsys.ingest.pipeline import IngestReport

SHOWN_REASONS = 10
# The details of a reason, between its first word and the allowed values.
_FOUND = re.compile(r"^(\w+) .+?( is (?:no|neither|a) |; )")


def describe_ingest(report: IngestReport) -> str:
    """Describe the lines read, the reasons of rejects, and the store."""
    store = report.store
    counts = report.lines
    manifest = store.manifest
    lines = [
        f"{len(report.added):,} new sources: {counts.read:,} lines = "
        f"{counts.good:,} good + {counts.rejected:,} rejected",
        *_describe_rejects(report),
    ]
    if report.left_out:
        lines.append(f"{report.left_out:,} rows are left out, as the condition says")
    if report.repeated:
        lines.append(
            f"{len(report.repeated):,} files add nothing, the store has their content: "
            f"{report.repeated[0].name}{' …' if len(report.repeated) > 1 else ''}"
        )
    if report.repeats:
        lines.append(
            f"{report.repeats:,} events were sent again, with another's user, message and "
            "request: they are counted once"
            if manifest.is_logged
            else f"{report.repeats:,} rows repeat another's listener, track, time and session: "
            "copies count once, and other weights are added up"
        )
    if report.future:
        lines.append(
            f"{report.future:,} new plays are later than the clock of this machine; check the "
            "clocks that wrote them, and the unit of their times"
        )
    size_mb = sum(part.bytes for part in manifest.parts) / 1e6
    lines.append(
        f"{store}: {manifest.events:,} plays, {counts.good - report.repeats:,} of them "
        f"new, of {len(manifest.sources):,} sources in {manifest.partitions} partitions, "
        f"{size_mb:,.1f} MB, digest {manifest.digest}"
    )
    return "\n".join(lines)


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
            first.setdefault(reason, str(reject))
    lines = [
        f"{count:>10,}  {reason}\n{'':12}first {first[reason]}"
        for reason, count in counts.most_common(SHOWN_REASONS)
    ]
    if lines:
        total = counts.total()
        place = store / REJECTS
        lines.insert(0, f"{total:,} rejected lines are kept in {place}; by reason:")
    return lines
