"""The report of a search as one HTML page: from a run folder to `report.html`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.page.render import render
from looplib.arrays import Int32Array
from recsys.dataset.dataset import Dataset, open_whole_dataset
from recsys.models.kinds import KINDS
from recsys.models.topk import NO_TRACK
from recsys.report.runs import LeaderboardRow, Run, read_folder
from recsys.runs.folder import REPORT, Winner, listeners_name, read_run
from recsys.runs.leaderboard import WARNING
from recsys.scoring import Scorer
from recsys.store.ids import Title, originals, read_titles
from recsys.store.remote import Store, open_store
from recsys.workspace import open_workspace

_RECOMMENDED, _HEARD = 10, 5


@dataclass(frozen=True)
class Example:
    """The list of a listener."""

    listener: str  # the id
    tracks: int  # how many tracks the listener has in training
    heard: list[Title]  # those with the most listening time
    # The head of the list, best first: with the share that was heard in the held-out sessions, or
    # else None, and whether the listener had heard it in the training sessions
    recommended: list[tuple[Title, float | None, bool]]


def write_report(address: str) -> None:
    """Write the page of a finished search into its run folder, at a path or an address.

    Titles are those of the configured catalogue, or else those in the store.

    Raises:
        UserError: The run is not finished, the store is not there, or the catalogue is not that of
            the store.
    """
    run = open_workspace(address)
    config, winner = read_run(run)
    store = open_store(config.store)
    titles = read_titles(config.catalogue, store)
    cached = store.workspace.sub(f"cache/{winner.dataset}")
    dataset = open_whole_dataset(cached) if cached.download_all() else None
    examples: tuple[Example, ...] = ()
    if dataset:
        scorer = Scorer(
            dataset.address,
            config.validation,
            config.seed,
            config.cluster.threads_per_fit,
        )
        lists = run.cached(listeners_name(scorer, winner.trial, winner.sweeps))
        examples = _read_examples(lists, dataset, store, titles)
    page = render_report(
        read_folder(run, run.folder.resolve().name), winner, dataset, examples
    )
    with run.create(REPORT) as file:
        file.write(page.encode())


def render_report(
    run: Run,
    winner: Winner,
    dataset: Dataset | None = None,
    examples: tuple[Example, ...] = (),
) -> str:
    """Render the page of a finished run, without figures of the data where the dataset is gone."""
    # imports altair: half a second that only those who render a page pay
    from recsys.report import figures

    return render(
        Path(__file__).parent,
        "page.html.jinja",
        run=run,
        winner=winner,
        has_warnings=any(remark.startswith(WARNING) for remark in winner.remarks),
        states=Counter(row["state"] for row in run.candidates),
        tied=sum(bool(row["ties"]) for row in run.candidates[1:]),
        fit_s=sum(row["fit_s"] or 0 for row in run.candidates),
        leaderboard=[figures.draw_leaderboard(run), figures.draw_curves(run)],
        baselines=[
            row for row in run.scored(run.rows) if KINDS[row["model"]].is_baseline
        ],
        state_of=lambda row: _state(run, row),
        facts=dataset.summary if dataset else None,
        examples=examples,
    )


def _state(run: Run, row: LeaderboardRow) -> str:
    if row["state"] != "scored":
        return f"{row['state']} at sweep {row['stopped_at']}: {row['why']}"
    if KINDS[row["model"]].is_baseline:
        return "baseline"
    if row is run.winner:
        return "winner"
    if row["ties"] is None:
        return ""
    return "tied with the best" if row["ties"] else "worse than the best"


def _read_examples(
    file: Path, dataset: Dataset, store: Store, titles: Mapping[str, Title]
) -> tuple[Example, ...]:
    """Read the example lists that a search kept of a scored sweep; none where the file is gone."""
    if not file.exists():
        return ()
    with np.load(file) as kept:
        rows, lists = kept["example_rows"].tolist(), kept["example_lists"]
    users = originals(store, "users", dataset.users[rows]).tolist()

    def titles_of(columns: Int32Array) -> list[Title]:
        tracks = originals(store, "items", dataset.tracks[columns]).tolist()
        found = []
        for track in tracks:
            title = titles.get(str(track), Title(track))
            if not title.title:
                title = Title(title.track, f"track {title.track}", title.artist)
            found.append(title)
        return found

    examples = []
    for user, row, columns in zip(users, rows, lists, strict=True):
        own = dataset.matrix("train", row, row + 1)
        known = own.indices[np.argsort(-own.data, kind="stable")]
        heldout = pq.read_table(dataset.heldout, filters=pc.field("user") == row)
        times = {event["track"]: event["time"] for event in heldout.to_pylist()}
        shown = columns[columns != NO_TRACK][:_RECOMMENDED]
        heard = [times.get(column) for column in shown.tolist()]
        is_known = np.isin(shown, known).tolist()
        recommended = list(zip(titles_of(shown), heard, is_known, strict=True))
        most_heard = titles_of(known[:_HEARD])
        examples.append(Example(str(user), len(known), most_heard, recommended))
    return tuple(examples)
