"""Report on a replay: in the terminal, in JSON, and as a page."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render
from listening_loop.replay.plays import NewestPlays
from listening_loop.replay.score import COMPARED, Rows, score
from listening_loop.replay.traffic import Answers
from looplib.files import atomic_write_json, atomic_write_text
from looplib.tables import output, table

_SHOWN = {(COMPARED, group) for group in ("repeat", "new", "new listeners")}
TITLE = "A prediction of what people played without us, not a lift"


def write_report(plays: NewestPlays, answers: Mapping[str, Answers], out: Path) -> None:
    """Write and print a report.

    The same plays give the same bytes of `report.json` and `report.html`; how long the answers took
    stands in `latency.json`.
    """
    scores, comparisons = score(plays, answers)
    sentences = [*describe(plays, scores), *map(compare, comparisons)]
    coverage = {
        name: round(answer.recommended / plays.facts["catalogue"], 6)
        for name, answer in answers.items()
    }
    values = {
        "title": TITLE,
        "sentences": sentences,
        "coverage": coverage,
        "scores": scores,
    }
    latencies = {}
    for name, answer in answers.items():
        p50, p99 = np.quantile(1000 * answer.seconds, [0.5, 0.99]).round(3).tolist()
        latencies[name] = {"p50_ms": p50, "p99_ms": p99}
    atomic_write_json(out / "latency.json", latencies)
    atomic_write_json(
        out / "report.json",
        {"replay": plays.facts, **values, "comparisons": comparisons},
    )
    page = render(
        [Path(__file__).parent], "page.html.jinja", **values, figure=_draw(scores)
    )
    atomic_write_text(out / "report.html", page)
    rows: dict[str, dict[str, float]] = {name: {} for name in answers}
    for row in scores:
        cells = rows[row["recommender"]]
        if row["group"] == "all":
            cells[row["metric"]] = row["value"]
        elif (row["metric"], row["group"]) in _SHOWN:
            cells[row["group"]] = row["value"]
    for name, cells in rows.items():
        cells |= {"coverage": coverage[name], **latencies[name]}
    texts = [[name, *map(numbers.number, row.values())] for name, row in rows.items()]
    names = ["recommender", *next(iter(rows.values()))]
    console = output()
    console.print(table(names, texts, needed=4, numbers_from=1))
    for text in sentences:
        console.print(Text(text))
    console.print(Text(f"{TITLE}.", style="bold"))


def describe(plays: NewestPlays, scores: Rows) -> Iterator[str]:
    """Describe what was replayed, a sentence each."""
    facts = plays.facts
    listeners = int(plays.listener[-1]) + 1
    familiar = len(np.unique(plays.listener[plays.is_known]))
    sessions = "sessions unknown, as the plays have no times"
    if plays.has_sessions:
        sessions = f"{facts['sessions']:,} sessions"
    yield (
        f"{len(plays.tracks):,} plays, {facts['split']}, {sessions}; {familiar:,} listeners whom "
        f"version {facts['version']} has learned from, {listeners - familiar:,} new ones."
    )
    predictions = scores[0]["predictions"]
    yield (
        f"{predictions:,} predictions of the next play; {plays.has_next.sum() - predictions:,} "
        "plays of the same track at once again are none."
    )
    barred = facts["repeat_after"]
    latest = "all" if barred is None else f"the latest {barred}"
    yield f"Barred from a ranking: {latest} of the session's tracks so far."
    if facts["lacking"]:
        yield f"Plays of tracks that the catalogue lacks, and no ranking has: {facts['lacking']:,}."
    if facts["rejected"]:
        yield f"Rows of the file that are no plays: {facts['rejected']:,}."
    if facts["is_chosen"]:
        yield "The model was chosen by what these listeners played, which flatters it a little."


def compare(row: Mapping[str, Any]) -> str:
    """Write the outcome of a comparison in a sentence."""
    first, second, ratio = row["first"], row["second"], row["ratio"]
    word = "better" if row["better"] == first else "worse"
    outcome = f"is {word} than" if row["better"] else "is tied with"
    limits = f"{ratio.lower:.2f} … {ratio.upper:.2f}"
    return (
        f"{first} {outcome} {second}: {row['metric']} {ratio.value:.2f} x ({limits})."
    )


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
    note = (
        "With 95 % intervals over listeners, which are wider than those of differences."
    )
    return Forest(COMPARED, note, COMPARED, groups)
