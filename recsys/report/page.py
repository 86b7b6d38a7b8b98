"""Write the report of a search: `report.html` in its run folder, one page."""

import shlex
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render
from analysis.store import Store
from looplib.cli import program
from looplib.files import sha256_file
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.report.runs import (
    RunFolder,
    interval_of,
    is_baseline,
    read_examples,
    read_folder,
)
from recsys.run import REPORT, read_run, write_winner
from recsys.search.leaderboard import WARNING, describe_row, is_better, label_rows
from recsys.storage import open_workspace
from recsys.store.ids import Title, originals, read_titles
from recsys.store.reader import open_store

_LENGTH = 6  # tracks of an example list
_SHOWN = 12  # trials in the figure; the table has all
_CURVES = 6  # of them by iteration, as many as there are colours
_MAIN = ("recall", "precision", "map", "mrr", "hit_rate", "novelty", "coverage")


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
    folder = read_folder(run, run.folder.resolve().name)
    lists = read_examples(run, folder.scores[winner.trial.id], winner.iterations)
    page = render_run(
        folder,
        winner=winner,
        has_warnings=any(text.startswith(WARNING) for text in winner.warnings),
        examples=name_examples(lists, store, dataset, folder),
        publish=shlex.join([program(), "export", "--run", address, "--out", "FOLDER"]),
        facts=dataset.summary,
    )
    with run.create(REPORT) as file:
        file.write(page.encode())
    files = winner.files | {REPORT: sha256_file(run.folder / REPORT)}
    write_winner(run, replace(winner, files=files))


def render_run(run: RunFolder, **values: Any) -> str:  # noqa: ANN401  of the template
    """Render a search as a page; of an unfinished one there is neither winner nor example."""
    baselines = list(filter(is_baseline, run.rows))
    k = run.select.partition("@")[2]
    main = [run.select, f"repeat_{run.select}", f"new_{run.select}"]
    return render(
        [Path(__file__).parent],
        "page.html.jinja",
        run=run,
        figure=_draw_leaderboard(run),
        curves=_draw_curves(run),
        baselines=baselines,
        better=list(filter(is_better, baselines)),
        main_metrics=main + [f"{name}@{k}" for name in _MAIN],
        describe=describe_row,
        **({"winner": None, "examples": ()} | values),
    )


def _draw_leaderboard(run: RunFolder) -> Forest | None:
    """Draw the best trials by the choosing metric; None without a score."""
    labels, same = label_rows(run.rows)
    rows = []
    for row in run.rows[:_SHOWN]:
        value, lower, upper = interval_of(row, run.select)
        if value is None:
            continue
        is_tied = bool(row.get("ties")) and row is not run.candidates[0]
        text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
        colour = arm_colour(0 if is_baseline(row) else 1)
        label = f"{labels[row['trial']]} ({run.state_of(row)})"
        ends = (lower, upper)
        rows.append(IntervalRow(label, text, value, *ends, colour, not is_tied))
    if not rows:
        return None
    return Forest(
        f"The best {len(rows)} by {run.select}",
        "With 95 % intervals over listeners. An open mark is tied with the best model: the "
        "interval of their difference over the same listeners, which is narrower than these, "
        "holds 0. The other colour is of baselines."
        + (f" The same in all: {same}." if same else ""),
        run.select,
        {"": rows},
    )


def _draw_curves(run: RunFolder) -> Forest | None:
    """Draw the best trials by iteration; None where none was scored twice."""
    labels, _ = label_rows(run.rows)
    trials = [
        row["trial"] for row in run.candidates if len(run.scores[row["trial"]]) > 1
    ]
    groups: dict[str, list[IntervalRow]] = {}
    for position, trial in enumerate(trials[:_CURVES], start=1):
        groups[labels[trial]] = points = []
        for score in run.scores[trial]:
            if score.metrics:
                value, *_ = score.metrics[run.select]
                point = (str(score.iteration), numbers.number(value), value)
                points.append(IntervalRow(*point, None, None, arm_colour(position)))
    if not groups:
        return None
    note = f"The best {len(groups)}. A curve that still rises at its end asks for more."
    return Forest(f"{run.select} by iteration", note, "iterations", groups)


def name_examples(
    lists: list[list[int]], store: Store, dataset: Dataset, run: RunFolder
) -> list[dict[str, Any]]:
    """Name the tracks of example lists, and those that the listeners played most.

    Returns:
        For each listener the id, and rows of a track most played in training, and of one that is
            recommended, marked where it was played in a held-out session.
    """
    users = originals(store, "users", dataset.users)
    titles = read_titles(run.config.catalogue, store)
    ids = originals(store, "items", dataset.tracks, titles).tolist()
    names = [str(titles.get(str(track), Title(track))) for track in ids]
    heldout = pq.read_table(dataset.heldout)
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
