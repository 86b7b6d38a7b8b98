"""Search for the best model of a store, look at what came out, publish it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from listening_loop.frames import Frame, to_frame
from listening_loop.models import Model, load_version
from listening_loop.stores import Store, address_of
from looplib.config import parse_config
from looplib.files import digest_of
from recsys.config import ExportConfig, SearchConfig
from recsys.export.export import export_run
from recsys.report.page import write_report
from recsys.runs.folder import LEADERBOARD, REPORT, Winner, read_run
from recsys.search.search import search as run_search
from recsys.workspace import open_workspace

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Run:
    """A finished search."""

    address: str  # its folder
    config: SearchConfig
    winner: Winner

    @property
    def leaderboard(self) -> Frame:
        """All that was tried, best first: rank, model, parameters, metrics with intervals, what is tied."""
        return to_frame(pq.read_table(open_workspace(self.address).cached(LEADERBOARD)))

    @cached_property
    def model(self) -> Model:
        """The winner, fitted to all sessions; published in the run's folder at the first call."""
        return load_version(export_run(self.address, f"{self.address}/export", self.config.export), self.config.store)

    def recommend(self, users: Sequence[Any], n: int = 10) -> Frame:
        """Recommend tracks to listeners, as `Model.recommend` does."""
        return self.model.recommend(users, n)

    def export(self, folder: str | Path, **options: Any) -> str:  # noqa: ANN401  values of ExportConfig
        """Publish the winner's recommendations for the service; earlier versions stay for a rollback.

        Args:
            folder: Of the published versions: a path or an address.
            options: Of `export` in a search's configuration, such as `top=50` or `filter_seen=True`.

        Returns:
            The address of the version.

        Raises:
            Error: An option is not allowed, or the store has changed since the search.
        """
        chosen = parse_config(ExportConfig, self.config.export.model_dump() | options, "the options")
        return export_run(self.address, str(folder), chosen)

    def __repr__(self) -> str:
        """Return the winner and what it is worth."""
        value, lower, upper = self.winner.metrics[self.winner.select]
        return f"<Run {self.address}: {self.winner.select} {value:.4f} ({lower:.4f} … {upper:.4f}) by {self.winner.trial.kind}>"

    def _repr_html_(self) -> str:
        """Return the report's page in a frame of the notebook."""
        page = open_workspace(self.address).cached(REPORT).read_text(encoding="utf-8")
        return f'<iframe style="width:100%;height:640px;border:0" srcdoc="{page.replace("&", "&amp;").replace(chr(34), "&quot;")}"></iframe>'


def search(
    store: Store | str | Path,
    space: Mapping[str, Sequence[Any] | Any] | None = None,
    *,
    run: str | Path | None = None,
    client: "Client | None" = None,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> Run:
    """Fit the models of a search space, score them on held-out sessions, and rank them.

    A search that was interrupted, called again, goes on where it was; a finished one returns at once.

    Args:
        store: What to learn from.
        space: Values to combine, by hyperparameter: `{"factors": [32, 64]}`; a single value stands for itself.
        run: Folder of the run; by default beside the store, named by what is searched.
        client: A Dask client, on whose workers to run; None to start processes on this machine.
        settings: Other values of a search's configuration by dotted key: `{"search.sweeps": 10, "seed": 7}`.
        fresh: Keep an earlier run of the folder under another name, and start over.

    Raises:
        Error: The store, the split, the space or the cluster does not allow it, or every trial failed.
    """
    document: dict[str, Any] = {"store": address_of(store), "run": "", "search": {"space": dict(space or {})}}
    for key, value in (settings or {}).items():
        *sections, last = key.split(".")
        section = document
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    document["run"] = str(run or f"{document['store']}-run-{digest_of(document)[:12]}")
    config = parse_config(SearchConfig, document, "the arguments")
    winner = run_search(config, fresh=fresh, client=client)
    write_report(config.run)
    return Run(config.run, config, winner)


def open_run(address: str | Path) -> Run:
    """Open a finished search.

    Raises:
        Error: There is none.
    """
    return Run(str(address), *read_run(open_workspace(address)))
