"""The report of a search as one HTML page: from a run folder to `report.html`."""

from dataclasses import dataclass
from pathlib import Path

from analysis.page import numbers
from analysis.page.figures import Bars, Chart, Table
from analysis.page.render import render
from looplib.files import atomic_write_text
from recsys.dataset.dataset import Dataset, Summary, open_dataset
from recsys.models.kinds import KINDS
from recsys.report.charts import draw_costs, draw_curves, draw_leaderboard, megabytes
from recsys.report.heat import draw_heat_maps
from recsys.report.lists import Example, read_examples
from recsys.report.portrait import density, draw_popularity, draw_session_lengths
from recsys.report.runs import Row, Run, interval_of, read_folder
from recsys.report.titles import read_titles
from recsys.runs.folder import REPORT, Winner, read_run
from recsys.runs.leaderboard import WARNING
from recsys.store.remote import open_store
from recsys.workspace import open_workspace

_COLOURED = 6  # curves; the others are grey


@dataclass(frozen=True)
class Portrait:
    """What is told of the data.

    Attributes:
        facts: Its counts.
        density: Share of the pairs of listener and track that have an interaction, in %.
        popularity: How unevenly tracks are heard.
        lengths: How long sessions are; None where there are none.
        examples: What the winner recommends to a few listeners.
    """

    facts: Summary
    density: float
    popularity: Chart
    lengths: Bars | None
    examples: tuple[Example, ...]


def write_report(address: str | Path, *, catalogue: Path | None = None, store: str | Path | None = None) -> str:
    """Writes the page of a finished search into its run folder.

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
    portrait = None
    if cached.download_all():
        dataset = open_dataset(cached.address)
        portrait = _portray(dataset, read_examples(run, config, winner, dataset, opened, titles))
    page = render_report(read_folder(run, run.folder.resolve().name), winner, portrait)
    atomic_write_text(run.folder / REPORT, page)
    run.upload(REPORT)
    return f"{run}/{REPORT}"


def render_report(run: Run, winner: Winner, portrait: Portrait | None) -> str:
    """The whole page: no script, no other file, no other host; readable in light and dark, and printed.

    Args:
        run: A finished run.
        winner: Its winner.
        portrait: Of the data; None where the dataset is gone.
    """
    scored = [row["trial"] for row in run.candidates if run.curve(row["trial"])]
    return render(
        Path(__file__).parent,
        "page.html.jinja",
        run=run,
        winner=winner,
        row=run.winner,
        portrait=portrait,
        numbers=numbers,
        is_doubted=any(remark.startswith(WARNING) for remark in winner.remarks),
        value=numbers.number(winner.metrics[winner.select][0]),
        ends=_ends(winner.metrics[winner.select][1:]),
        states={
            state: sum(row["state"] == state for row in run.candidates) for state in ("scored", "pruned", "failed")
        },
        ties=sum(bool(row["ties"]) for row in run.candidates[1:]),
        fit_s=sum(row["fit_s"] or 0 for row in run.candidates),
        peak=max((found for row in run.rows if (found := megabytes(row)) is not None), default=None),
        leaderboard=draw_leaderboard(run),
        curves=draw_curves(run, scored[:_COLOURED], scored[_COLOURED:]),
        maps=draw_heat_maps(run),
        costs=draw_costs(run),
        trials=_tabulate_trials(run),
        metrics=_tabulate_metrics(run, winner),
    )


def _portray(dataset: Dataset, examples: tuple[Example, ...]) -> Portrait:
    return Portrait(
        dataset.summary, density(dataset), draw_popularity(dataset), draw_session_lengths(dataset), examples
    )


def _tabulate_trials(run: Run) -> Table:
    """Every candidate and baseline: what it is, what it is worth, how far behind, what became of it, what it took."""
    return Table(
        (
            "Model", "Fate", "Sweep", run.select, "Interval", "Behind the best", "Fit, s", "Peak, MB",
        ),
        tuple(_cells(run, row) for row in run.rows),
        texts=2,
    )  # fmt: skip


def _cells(run: Run, row: Row) -> tuple[str, ...]:
    is_scored = row.get(run.select) is not None
    is_best = row is run.candidates[0]
    behind = (row["behind"], row["behind lower"], row["behind upper"])
    is_behind = behind[0] is not None and not is_best
    return (
        run.label(row),
        _fate(run, row),
        str(row["sweep"] or numbers.NOTHING),
        numbers.number(row.get(run.select)),
        _ends(interval_of(row, run.select)[1:]) if is_scored else numbers.NOTHING,
        f"{numbers.number(behind[0])} ({_ends(behind[1:])})" if is_behind else numbers.NOTHING,
        numbers.number(row["fit_s"]),
        numbers.count(megabytes(row)),
    )


def _fate(run: Run, row: Row) -> str:
    """What became of a row, in words."""
    if row["state"] != "scored":
        share = row["given_up_listeners"]
        sample = f" on {share:.0%} of the listeners" if share is not None and share < 1 else ""
        when = f" at sweep {row['given_up_at']}{sample}" if row["given_up_at"] is not None else ""
        return f"{row['state']}{when}: {row['why']}"
    if KINDS[row["model"]].is_baseline:
        return "baseline"
    if row is run.winner:
        return "winner"
    return "cannot be told from the best" if row["ties"] else "worse than the best" if row["ties"] is False else ""


def _tabulate_metrics(run: Run, winner: Winner) -> Table:
    """All metrics of the winner with their intervals, beside the baselines."""
    baselines = [row for row in run.rows if KINDS[row["model"]].is_baseline and row.get(run.select) is not None]
    return Table(
        ("Metric", "Winner", "Interval", *(row["model"].capitalize() for row in baselines)),
        tuple(
            (
                metric,
                numbers.number(ends[0]),
                _ends(ends[1:]),
                *(numbers.number(row.get(metric)) for row in baselines),
            )
            for metric, ends in winner.metrics.items()
        ),
    )


def _ends(ends: tuple[float, ...]) -> str:
    return " … ".join(numbers.number(end) for end in ends)
