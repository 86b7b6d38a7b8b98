"""Write the report of a search: `report.html` in its run folder, one page."""

import shlex
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.page.render import render
from analysis.store import Store
from looplib.cli import program
from looplib.files import sha256_file
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.report.figures import TEMPLATES, draw_curves, draw_leaderboard
from recsys.report.runs import RunFolder, is_baseline, read_examples, read_folder
from recsys.search.folder import REPORT, read_run, write_winner
from recsys.search.leaderboard import WARNING, describe_row, is_better
from recsys.storage import open_workspace
from recsys.store.ids import Title, originals, read_titles
from recsys.store.reader import open_store

_LENGTH = 6  # tracks of an example list
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
        [TEMPLATES],
        "page.html.jinja",
        run=run,
        figure=draw_leaderboard(run),
        curves=draw_curves(run),
        baselines=baselines,
        better=list(filter(is_better, baselines)),
        main_metrics=main + [f"{name}@{k}" for name in _MAIN],
        describe=describe_row,
        **({"winner": None, "examples": ()} | values),
    )


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
