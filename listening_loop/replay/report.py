"""Report on a replay: in the terminal, in JSON, and as a page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render
from listening_loop.replay.plays import NewestPlays
from listening_loop.replay.score import COMPARED, UNPLAYED, Rows, score
from listening_loop.replay.traffic import join_answers
from looplib.files import atomic_write_json, atomic_write_text
from looplib.tables import output, table

TITLE = "A prediction of what people played without us, not a lift"


def write_report(
    plays: NewestPlays,
    files: Mapping[str, Path],
    out: Path,
    costs: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Score the files of recommenders' answers; write and print a report.

    The same plays give the same bytes of `report.json` and `report.html`, unless it has costs; how
    long the answers took stands in `latency.json`.

    Args:
        plays: The plays of the replay.
        files: The answers, by the name of the recommender.
        out: Folder of the report.
        costs: Header and rows of a table that comes first.
        warnings: Sentences that come first.
    """
    joined = {name: join_answers(file) for name, file in files.items()}
    predictions = {name: rows for name, (rows, _) in joined.items()}
    totals = {name: total for name, (_, total) in joined.items()}
    scores, comparisons = score(plays, predictions)
    best = [row for row in comparisons if row["first"] == comparisons[0]["first"]]
    compared = [row for row in best if row["metric"] == COMPARED]
    failed = []
    for name, total in totals.items():
        counts = [f"{why} {count:,}" for why, count in total["failures"].items()]
        if counts:
            text = "requests that failed and were sent again"
            failed.append(f"{name}: {text}: {', '.join(counts)}.")
    sentences = [*map(compare, compared), *warnings, *failed, *describe(plays, scores)]
    coverage = {
        name: round(total["tracks"] / plays.protocol["catalogue"], 6)
        for name, total in totals.items()
    }
    shown: dict[str, Any] = {
        "title": TITLE,
        "sentences": sentences,
        "coverage": coverage,
        "scores": scores,
    }
    document = {"replay": plays.protocol, **shown, "comparisons": comparisons}
    atomic_write_json(out / "report.json", document)
    latencies = {name: total["latency"] for name, total in totals.items()}
    atomic_write_json(out / "latency.json", latencies)
    summary = {
        "kind": "Replay",
        "data": f"{len(plays.tracks):,} plays, {plays.protocol['split']}",
        "outcome": sentences[0],
        "tone": "good" if any(row["better"] for row in compared) else "wait",
    }
    values = {"summary": summary, "figure": _draw(scores), "costs": costs, **shown}
    page = render([Path(__file__).parent], "page.html.jinja", **values)
    atomic_write_text(out / "report.html", page)
    cells: dict[tuple[str, str], list[str]] = {}
    for row in scores:
        key = row["recommender"], row["group"]
        cells.setdefault(key, []).append(numbers.number(row["value"]))
    metrics = dict.fromkeys(row["metric"] for row in scores)
    names: Sequence[str] = ["recommender", "plays", *metrics]
    texts: Sequence[Sequence[str]] = [[*key, *row] for key, row in cells.items()]
    if costs:
        names, texts = costs
    console = output()
    console.print(table(names, texts, needed=4, numbers_from=2 - bool(costs)))
    for name, latency in latencies.items():
        p50, p99 = map(numbers.number, latency.values())
        share = numbers.percent(100 * coverage[name])
        sentences.append(f"{name}: answers in {p50} ms, p99 {p99} ms; coverage {share}")
    for text in sentences:
        console.print(Text(text))
    console.print(Text(f"{TITLE}.", style="bold"))


def describe(plays: NewestPlays, scores: Rows) -> Iterator[str]:
    """Describe the replayed plays, a sentence each."""
    protocol = plays.protocol
    familiar = len(np.unique(plays.listener[plays.is_known]))
    sessions = "sessions unknown, as the plays have no times"
    if plays.has_sessions:
        sessions = f"{protocol['sessions']:,} sessions"
    yield (
        f"{len(plays.tracks):,} plays, {protocol['split']}, {sessions}; {familiar:,} listeners "
        "whose older plays the service has learned from, "
        f"{plays.listeners - familiar:,} new."
    )
    predictions = scores[0]["predictions"]
    yield (
        f"{predictions:,} predictions of the next play; the {plays.has_next.sum() - predictions:,} "
        "times that a track is played twice in a row are left out."
    )
    if protocol["refits"]:
        moments = ", ".join(protocol["refits"])
        yield f"Refits on all plays up to then: {len(protocol['refits'])}, at {moments}."
    barred = protocol["repeat_after"]
    played = "earlier in the session"
    if barred is not None:
        played = "just before" if barred == 1 else f"in the {barred} plays before"
    yield f"No ranking has tracks that were played {played}."
    if protocol["lacking"]:
        lacking = protocol["lacking"]
        yield f"Plays of tracks that the catalogue lacks, and no ranking has: {lacking:,}."
    hits = {
        (row["recommender"], row["group"]): round(row["value"] * row["predictions"])
        for row in scores
        if row["metric"] == COMPARED
    }
    for (name, group), count in hits.items():
        if group == UNPLAYED:
            yield (
                f"{name}: {count:,} of {hits[name, 'all']:,} hits are of tracks that nobody had "
                "played when the export was made; the catalogue has them."
            )
    if protocol["rejected"]:
        yield f"Rows of the file that are no plays: {protocol['rejected']:,}."
    if protocol["is_chosen"]:
        yield "The model was chosen by what these listeners played, which flatters it a little."


def compare(row: Mapping[str, Any]) -> str:
    """Write the outcome of a comparison in a sentence."""
    first, second, difference = row["first"], row["second"], row["difference"]
    word = "better" if row["better"] == first else "worse"
    outcome = f"is {word} than" if row["better"] else "is tied with"
    return f"{first} {outcome} {second}: {row['metric']} {difference:+.4f}."


def _draw(scores: Rows) -> Forest:
    """Draw the metric that compares, by group."""
    colours: dict[str, str] = {}
    groups: dict[str, list[IntervalRow]] = {}
    for row in scores:
        if row["metric"] == COMPARED:
            name, ends = row["recommender"], (row["lower"], row["upper"])
            colour = colours.setdefault(name, arm_colour(len(colours)))
            title = f"{numbers.capitalized(row['group'])}, {row['predictions']:,} predictions"
            text = f"{numbers.number(row['value'])} ({numbers.limits(*ends)})"
            interval = IntervalRow(name, text, row["value"], *ends, colour)
            groups.setdefault(title, []).append(interval)
    note = "With 95 % intervals over listeners; intervals of differences are narrower."
    return Forest(COMPARED, note, COMPARED, groups)
