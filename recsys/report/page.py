"""Write the report of a search: `report.html` in its run folder, one page."""

from dataclasses import replace

from analysis.page.render import render
from looplib.files import sha256_file
from recsys.dataset.dataset import open_dataset
from recsys.report.figures import TEMPLATES, draw_leaderboard
from recsys.report.runs import is_baseline, read_folder
from recsys.search.folder import (
    REPORT,
    read_run,
    write_winner,
)
from recsys.search.leaderboard import WARNING, describe_row
from recsys.storage import open_workspace


def write_report(address: str) -> None:
    """Write the page of a finished search into its run folder, at a path or an address.

    Raises:
        UserError: The run is not finished.
    """
    run = open_workspace(address)
    config, winner = read_run(run)
    store = open_workspace(config.store)
    dataset = open_dataset(store.sub(f"cache/{winner.dataset}").address)
    folder = read_folder(run, run.folder.resolve().name)
    page = render(
        [TEMPLATES],
        "page.html.jinja",
        run=folder,
        winner=winner,
        has_warnings=any(text.startswith(WARNING) for text in winner.warnings),
        figure=draw_leaderboard(folder),
        baselines=list(filter(is_baseline, folder.rows)),
        describe=describe_row,
        facts=dataset.summary,
    )
    with run.create(REPORT) as file:
        file.write(page.encode())
    files = winner.files | {REPORT: sha256_file(run.folder / REPORT)}
    write_winner(run, replace(winner, files=files))
