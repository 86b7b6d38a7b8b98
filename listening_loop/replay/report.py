"""Report on a replay: in the terminal, in JSON, and as a page."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render
from listening_loop.replay.plays import Plays
from listening_loop.replay.score import COMPARED, Comparison, Ends, Scores, metrics_of
from listening_loop.replay.traffic import Answers
from looplib.files import atomic_write_json, atomic_write_text
from looplib.tables import output, table

TITLE = "A prediction of what people played without us, not a lift"


def write_report(
    plays: Plays, answers: Mapping[str, Answers], scores: Scores, out: Path
) -> None:
    """Write and print a report.

    The same plays give the same bytes of `report.json` and `report.html`; how long the answers took
    stands in `latency.json`.
    """
    latencies = {name: _latencies(answer) for name, answer in answers.items()}
    sentences = [*describe(plays, scores)]
    comparisons = [asdict(row) | {"better": row.better} for row in scores.comparisons]
    document = {
        "title": TITLE,
        "replay": plays.facts,
        **asdict(scores),
        "comparisons": comparisons,
        "words": sentences,
    }
    atomic_write_json(out / "latency.json", latencies)
    atomic_write_json(out / "report.json", document)
    page = render(
        [Path(__file__).parent],
        "page.html.jinja",
        title=TITLE,
        sentences=sentences,
        verdicts=[*map(compare, _deciding(scores))],
        scores=scores,
        metrics=metrics_of(plays),
        figures=[_draw(scores, metric) for metric in (COMPARED, "mrr")],
    )
    atomic_write_text(out / "report.html", page)
    _print(scores, sentences, latencies, metrics_of(plays))


def describe(plays: Plays, scores: Scores) -> Iterator[str]:
    """Describe what was replayed, a sentence each."""
    facts = plays.facts
    users = plays.starts[:-1]
    known = int(plays.is_known[users].sum())
    sessions = "sessions unknown, as the plays have no times"
    if plays.has_sessions:
        sessions = f"{facts['sessions']:,} sessions"
    yield (
        f"{facts['plays']:,} plays, {facts['split']}, {sessions}; {known:,} listeners whom "
        f"version {facts['version']} has learned from, {len(users) - known:,} new ones."
    )
    repeats = int(plays.has_next.sum()) - scores.predictions["all"]
    yield (
        f"{scores.predictions['all']:,} predictions of the next play; "
        f"{repeats:,} plays of the same track at once again are none."
    )
    barred = facts["repeat_after"]
    latest = "all" if barred is None else f"the latest {barred}"
    yield f"Barred from a ranking: {latest} of the session's tracks so far."
    lacking = int((~plays.in_catalogue).sum())
    if lacking:
        yield f"{lacking:,} plays are of tracks that the catalogue lacks; no ranking has these."
    if facts["rejected"]:
        yield f"{facts['rejected']:,} rows of the file are no plays."
    if facts["is_chosen"]:
        yield "The model was chosen by what these listeners played, which flatters it a little."


def compare(row: Comparison) -> str:
    """Write the outcome of a comparison in a sentence."""
    ratio, lower, upper = row.ratio
    times = f"{ratio:.2f} times ({lower:.2f} … {upper:.2f})"
    if row.better is None:
        return f"{row.first} and {row.second} are tied: {row.metric} {times}"
    word = "better" if row.better == row.first else "worse"
    return f"{row.first} is {word} than {row.second}: {row.metric} {times}"


def _deciding(scores: Scores) -> list[Comparison]:
    return [row for row in scores.comparisons if row.metric == COMPARED]


def _draw(scores: Scores, metric: str) -> Forest:
    groups = {}
    for group, count in scores.predictions.items():
        heading = f"{numbers.capitalized(group)}, {count:,} predictions"
        groups[heading] = [
            _row(name, values[group][metric], position)
            for position, (name, values) in enumerate(scores.values.items())
        ]
    note = (
        "With 95 % intervals over listeners, which are wider than those of differences."
    )
    return Forest(metric, note, metric, groups)


def _row(name: str, ends: Ends, position: int) -> IntervalRow:
    value, lower, upper = ends
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    return IntervalRow(name, text, value, lower, upper, arm_colour(position))


def _latencies(answers: Answers) -> dict[str, float]:
    median, slow = np.quantile(answers.seconds, [0.5, 0.99]).tolist()
    return {"p50_ms": round(1000 * median, 3), "p99_ms": round(1000 * slow, 3)}


def _print(
    scores: Scores,
    sentences: list[str],
    latencies: Mapping[str, dict[str, float]],
    metrics: tuple[str, ...],
) -> None:
    console = output()
    groups = ["all", "repeat", "new", "known listeners", "new listeners"]
    groups = [group for group in groups if group in scores.predictions]
    names = ["recommender", *metrics, *groups[1:], "coverage", "p50", "p99, ms"]
    names.insert(3, "95 %")
    rows = []
    for name, values in scores.values.items():
        ends = values["all"]
        cells: list[Any] = [ends[metric][0] for metric in metrics]
        cells[2:2] = [numbers.limits(*ends[COMPARED][1:])]
        cells += [values[group][COMPARED][0] for group in groups[1:]]
        cells += [scores.coverage[name], *latencies[name].values()]
        shown = (
            cell if isinstance(cell, str) else numbers.number(cell) for cell in cells
        )
        rows.append([name, *shown])
    console.print(table(names, rows, needed=6, numbers_from=1))
    for text in (*sentences, *map(compare, _deciding(scores))):
        console.print(Text(text))
    console.print(Text(f"{TITLE}.", style="bold"))
