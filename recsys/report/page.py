"""Write the report of a search, the page `report.html` in its run folder."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render
from analysis.store import Store
from looplib.arrays import NO_TRACK
from looplib.cli import program
from looplib.progress import WARNING
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.models.registry import MODELS
from recsys.run import (
    LEADERBOARD,
    LEDGER,
    LISTENERS,
    REPORT,
    Winner,
    check_digest,
    read_run,
)
from recsys.search.evaluation import EXAMPLES
from recsys.search.leaderboard import (
    Row,
    describe_pool,
    describe_row,
    is_better,
    label_rows,
)
from recsys.search.ledger import Score, Scores, read_ledger, scores_of
from recsys.storage import Workspace, open_workspace
from recsys.store.ids import Title, originals, read_titles
from recsys.store.reader import open_store

_LENGTH = 6  # tracks of an example list
_SHOWN = 12  # trials in the figure; the table has all
_CURVES = 6  # trials by iteration, limited by the number of colours
_RERANKED = ("reranked_artists", "reranked_distance")
_MAIN = (
    *("recall", "precision", "map", "mrr", "hit_rate", "skip_rate"),
    *("novelty", "popularity", "artists", "calibration", "coverage", "gini"),
)


def write_report(address: str) -> None:
    """Write the page of a finished search into its run folder, at a path or an address.

    Raises:
        UserError: The run is not finished.
    """
    run = open_workspace(address)
    config, winner = read_run(run)
    store = open_store(config.store)
    cached = open_workspace(config.store).sub(f"cache/{winner.dataset}")
    dataset = open_dataset(cached.address)
    run.download(LEDGER)
    lines, _ = read_ledger(run.folder / LEDGER)
    # an earlier search in the folder may have had other data, or scored otherwise
    scores = scores_of(line for line in lines if line.scorer == lines[-1].scorer)
    rows = pq.read_table(check_digest(run, winner, LEADERBOARD)).to_pylist()
    lists = read_examples(run, scores[winner.trial.id], winner.iterations)
    written = (run.folder / LEDGER).stat().st_mtime
    page = render_search(
        rows,
        scores,
        config,
        winner,
        name=run.folder.resolve().name,
        date=datetime.fromtimestamp(written, UTC).date(),
        examples=name_examples(lists, store, dataset, config.catalogue),
        publish=shlex.join([program(), "export", "--run", address, "--out", "FOLDER"]),
        dataset=dataset.summary,
    )
    with run.create(REPORT) as file:
        file.write(page.encode())


def render_search(
    rows: Sequence[Row],
    scores: Scores,
    config: SearchConfig,
    winner: Winner,
    **values: Any,  # noqa: ANN401  of the template
) -> str:
    """Render a search as a page.

    Args:
        rows: The leaderboard, best first.
        scores: The scores of each trial, by its id.
        config: The configuration of the search.
        winner: The winner of the search.
        values: Further values of the template.
    """
    select = winner.select
    best = next(row for row in rows if row["trial"] == winner.trial.id)
    baselines = list(filter(_is_baseline, rows))
    better = list(filter(is_better, baselines))
    headline = f"Winner: {describe_row(best)}"
    tone = "good"
    if better:
        simple = f"the simple rule {better[0]['model']} is better than"
        headline = f"Do not publish: {simple} {describe_row(best)}"
        tone = "bad"
    elif any(text.startswith(WARNING) for text in winner.warnings):
        tone = "wait"
    main = [select, f"repeat_{select}", f"new_{select}"]
    main += [f"reranked_{select}", f"price_{select}"]
    cut_off = select.partition("@")[2]
    main += [f"{name}@{cut_off}" for name in (*_MAIN, *_RERANKED)]
    return render(
        [Path(__file__).parent],
        "page.html.jinja",
        summary={
            "kind": "Search",
            "data": config.store,
            "outcome": headline,
            "tone": tone,
        },
        config=config,
        winner=winner,
        rows=[(row, _describe_state(row, best)) for row in rows],
        figure=_draw_leaderboard(rows, best, select),
        curves=_draw_curves(rows, scores, select),
        baselines=baselines,
        better=better,
        main_metrics=main,
        describe=describe_row,
        pool=describe_pool(config.validation.pool),
        **values,
    )


def _draw_leaderboard(rows: Sequence[Row], best: Row, select: str) -> Forest:
    """Draw the best trials by the choosing metric."""
    labels, same = label_rows(rows)
    marks = []
    for row in rows[:_SHOWN]:
        value, lower, upper = [
            row.get(f"{select}{end}") for end in ("", " lower", " upper")
        ]
        if value is None:
            continue
        is_tied = bool(row.get("ties")) and row is not best
        text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
        colour = arm_colour(0 if _is_baseline(row) else 1)
        label = f"{labels[row['trial']]} ({_describe_state(row, best)})"
        ends = (lower, upper)
        marks.append(IntervalRow(label, text, value, *ends, colour, not is_tied))
    return Forest(
        f"The best {len(marks)} by {select}",
        "With 95 % intervals over listeners. An open mark is tied with the best model: the "
        "interval of their difference over the same listeners, which is narrower than these, "
        "holds 0. The other colour is of baselines."
        + (f" The same in all: {same}." if same else ""),
        select,
        {"": marks},
    )


def _draw_curves(rows: Sequence[Row], scores: Scores, select: str) -> Forest | None:
    """Draw the best trials by iteration; None if no trial was scored twice."""
    labels, _ = label_rows(rows)
    trials = [row["trial"] for row in rows if not _is_baseline(row)]
    trials = [trial for trial in trials if len(scores[trial]) > 1]
    groups: dict[str, list[IntervalRow]] = {}
    for position, trial in enumerate(trials[:_CURVES], start=1):
        groups[labels[trial]] = points = []
        for score in scores[trial]:
            if score.metrics:
                value = score.metrics[select].value
                point = (str(score.iteration), numbers.number(value), value)
                points.append(IntervalRow(*point, None, None, arm_colour(position)))
    if not groups:
        return None
    note = f"The best {len(groups)}. A curve that still rises at its end asks for more."
    return Forest(f"{select} by iteration", note, "iterations", groups)


def _is_baseline(row: Row) -> bool:
    """Check whether a row is of a baseline, which never wins."""
    kind = MODELS.get(row["model"])
    return kind is not None and kind.is_baseline


def _describe_state(row: Row, best: Row) -> str:
    """Describe the rank of a model, or the iteration at which it was stopped, and why."""
    if row["state"] != "scored":
        reason = f": {row['why']}" if row["state"] == "failed" else ""
        return f"{row['state']} at iteration {row['stopped_at']}{reason}"
    if _is_baseline(row):
        return "better baseline" if is_better(row) else "baseline"
    if row is best:
        return "winner"
    return "tied" if row["ties"] else "worse"


def read_examples(
    run: Workspace, scores: Sequence[Score], iteration: int
) -> list[list[int]]:
    """Read the examples of a trial: the row of a listener, and the columns of its list."""
    name = f"{LISTENERS}/{scores[-1].scorer}/{scores[-1].trial.id}-{iteration}.npz"
    with np.load(run.cached(name)) as arrays:
        lists: list[list[int]] = arrays[EXAMPLES].tolist()
    return [[track for track in example if track != NO_TRACK] for example in lists]


def name_examples(
    lists: list[list[int]], store: Store, dataset: Dataset, catalogue: Path | None
) -> list[dict[str, Any]]:
    """Name the tracks of example lists, and the tracks that the listeners played most.

    Returns:
        For each listener the id, and rows of two tracks: the next most played in training, and the
            next of the list, marked if it was played in a held-out session.
    """
    users = originals(store, "users", dataset.users)
    titles = read_titles(catalogue, store)
    ids = originals(store, "items", dataset.tracks, titles).tolist()
    names = [str(titles.get(str(track), Title(track))) for track in ids]
    heldout = pq.read_table(dataset.heldout, filters=[("time", ">", 0)])
    listeners, tracks = (heldout[name].to_numpy() for name in ("user", "track"))
    examples = []
    for row, *columns in lists:
        heard = dataset.matrix("training", row, row + 1)
        most = heard.indices[np.argsort(-heard.data, kind="stable")]
        later = tracks[listeners == row]
        best = [names[track] + " ✓" * (track in later) for track in columns]
        rows = zip_longest([names[track] for track in most], best, fillvalue="")
        examples.append({"id": users[row], "rows": [*rows][:_LENGTH]})
    return examples
