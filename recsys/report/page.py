"""The report of a search as one HTML page: from a run folder to `report.html`."""

from collections import Counter
from pathlib import Path

from analysis.page.render import render
from looplib.files import atomic_write_text
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.models.kinds import KINDS
from recsys.report.lists import Example, read_examples, read_titles
from recsys.report.runs import Row, Run, read_folder
from recsys.runs.folder import REPORT, Winner, listeners_name, read_run
from recsys.runs.leaderboard import WARNING
from recsys.scoring.scorer import Scorer
from recsys.store.remote import open_store
from recsys.workspace import open_workspace


def write_report(address: str | Path, *, catalogue: Path | None = None, store: str | Path | None = None) -> str:
    """Write the page of a finished search into its run folder.

    Args:
        address: Path or address of the run.
        catalogue: tracks.json; by default the run's own, if it has one.
        store: The session store; by default where the search read it.

    Returns:
        The page's address.

    Raises:
        UserError: The run is not finished, the store is not there, or the catalogue is not that of the store.
    """
    run = open_workspace(address)
    config, winner = read_run(run)
    opened = open_store(store or config.store)
    titles = read_titles(catalogue or config.catalogue, opened)
    cached = opened.workspace.sub(f"cache/{winner.dataset}")
    dataset = open_dataset(cached.address) if cached.download_all() else None
    examples: tuple[Example, ...] = ()
    if dataset:
        scorer = Scorer(dataset.address, config.validation, config.seed, config.cluster.threads_per_fit)
        lists = run.cached(listeners_name(scorer, winner.trial, winner.sweeps))
        examples = read_examples(lists, dataset, opened, titles)
    page = render_report(read_folder(run, run.folder.resolve().name), winner, dataset, examples)
    atomic_write_text(run.folder / REPORT, page)
    run.upload(REPORT)
    return f"{run}/{REPORT}"


def render_report(run: Run, winner: Winner, dataset: Dataset | None = None, examples: tuple[Example, ...] = ()) -> str:
    """Render the page of a finished run, without figures of the data where the dataset is gone."""
    from recsys.report import figures  # imports altair: half a second that only those who render a page pay

    return render(
        Path(__file__).parent,
        "page.html.jinja",
        run=run,
        winner=winner,
        has_warnings=any(remark.startswith(WARNING) for remark in winner.remarks),
        states=Counter(row["state"] for row in run.candidates),
        tied=sum(bool(row["ties"]) for row in run.candidates[1:]),
        fit_s=sum(row["fit_s"] or 0 for row in run.candidates),
        peak=max((row["peak_bytes"] or 0 for row in run.rows), default=0),
        leaderboard=[figures.draw_leaderboard(run), figures.draw_curves(run)],
        fits=[figures.draw_costs(run), *figures.draw_heat_maps(run)],
        baselines=[row for row in run.scored(run.rows) if row["model"] != "als"],
        state_of=lambda row: _state(run, row),
        facts=dataset.summary if dataset else None,
        data=[figures.draw_popularity(dataset), figures.draw_session_lengths(dataset)] if dataset else [],
        examples=examples,
    )


def _state(run: Run, row: Row) -> str:
    if row["state"] != "scored":
        when = f" at sweep {row['stopped_at']}" if row["stopped_at"] is not None else ""
        return f"{row['state']}{when}: {row['why']}"
    if KINDS[row["model"]].is_baseline:
        return "baseline"
    if row is run.winner:
        return "winner"
    return "tied with the best" if row["ties"] else "worse than the best" if row["ties"] is False else ""
