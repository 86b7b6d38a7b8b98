"""Search for the best model of a store, look at the results, and publish it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.queries import Rows, ask
from analysis.store import Store
from analysis.views import open_views
from listening_loop.api.frames import Frame, is_frame, write_catalogue
from listening_loop.api.models import FactorModel, as_dict, check_request
from listening_loop.errors import LoopError
from listening_loop.sql import locate
from looplib.config import parse_config, set_value
from looplib.errors import UserError
from looplib.files import json_digest
from recsys.config import ExportConfig, SearchConfig, SplitKind
from recsys.export.export import export_run
from recsys.export.version import FACTORS, RECOMMENDATIONS, SCORES, SIMILAR
from recsys.models.libraries import class_path
from recsys.report.page import write_report
from recsys.run import (
    LEADERBOARD,
    REPORT,
    Winner,
    check_digest,
    read_run,
)
from recsys.search.leaderboard import describe, describe_pool
from recsys.search.search import search as run_search
from recsys.storage import open_workspace
from recsys.store.ids import Title, read_titles
from recsys.store.reader import open_store

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client


class ExportOptions(TypedDict, total=False):
    """The keys of `recsys.config.ExportConfig`."""

    top: int
    filter_seen: bool
    learn_from: Literal["all", "training"]
    publish_anyway: bool
    live: bool | Literal["anyway"]
    rerank: Mapping[str, int | float]


@dataclass(frozen=True, repr=False)
class Run:
    """A finished search.

    >>> from analysis.statistics.effects import Interval
    >>> from recsys.models.trial import Trial
    >>> trial = Trial("f3a1", "als", {"factors": 64}, seed=42)
    >>> score = {"ndcg@30": Interval(0.31, 0.29, 0.33)}
    >>> winner = Winner(trial, 15, score, "ndcg@30", "d6e2", "c0de")
    >>> Run("out/run", SearchConfig(store="out/store", run="out/run"), winner)
    <Run out/run: ndcg@30 0.3100 (0.2900 … 0.3300) over all tracks by als>
    """

    address: str  # its folder
    config: SearchConfig
    winner: Winner
    # its workers run refits in blocks
    client: "Client | None" = field(default=None, compare=False)

    @property
    def leaderboard(self) -> "pd.DataFrame":
        """All trials and baselines, best first; the main columns of `metrics`."""
        select = self.winner.select
        columns = ["rank", "model", "settings", "state", "iteration", select]
        columns += [f"{select} lower", f"{select} upper", "pool", "ties", "fit_s"]
        board = self.metrics[columns]
        return board.assign(settings=board["settings"].map(", ".join))

    @property
    def metrics(self) -> "pd.DataFrame":
        """All trials and baselines, with hyperparameters, metrics and intervals.

        The column `pool` says which tracks the lists have: all, or only tracks new to the listener.
        """
        run = open_workspace(self.address)
        table = pq.read_table(check_digest(run, self.winner, LEADERBOARD))
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def sql(self, query: str) -> Rows:
        """Ask the views of the run and its store in SQL, such as `trials` (docs/sql.md).

        Returns:
            DuckDB's relation, which runs when it is read: `.df()`, `.pl()`, `.to_arrow_table()`.

        Raises:
            Error: The query is wrong or does more than read, or a file is damaged.
        """
        return ask(open_views([self.address], locate=locate), query)

    @cached_property
    def model(self) -> FactorModel:
        """The winner's factors, fitted to all sessions.

        Raises:
            Error: The winner has no factors, as it is no ALS and no class with factors; or they are
                damaged.
        """
        # a version may have the factors of another trial
        files = open_workspace(self._version).names()
        if self.winner.factors or FACTORS not in files:
            kind = describe(self.winner.trial)
            advice = "run.recommend and run.similar read its lists"
            raise LoopError(f"the winner, {kind}, has no factors; {advice}")
        return FactorModel.load(self._version)

    def recommend(
        self, users: Sequence[Any], n: int = 10, *, skip_unknown: bool = False
    ) -> "pd.DataFrame":
        """Read the first n of the lists that `export` publishes.

        Args:
            users: Their ids.
            n: How many tracks each gets.
            skip_unknown: Leave out unknown users.

        Returns:
            A frame with the columns user, rank (from 1), item, score (NaN of popular tracks that
            end a short list, and of lists of a file), and, where the configured catalogue or the
            store has titles, title and artist.

        Raises:
            Error: A user is unknown, n is below 1 or more than the lists have, or the catalogue is
                not there.
        """
        frame = self._select(RECOMMENDATIONS, "user", users, n, skip_unknown)
        file = open_workspace(self._version).cached(SCORES)
        row_of = {user: row for row, user in enumerate(self._lists[RECOMMENDATIONS])}
        rows = [row_of[user] for user in frame["user"]]
        ranks = [rank - 1 for rank in frame["rank"]]
        try:
            scores = np.load(file, mmap_mode="r")[rows, ranks]
        except (ValueError, EOFError, IndexError) as error:  # also of a pickle
            raise LoopError(
                f"{file}: damaged ({error}); export the run again"
            ) from None
        frame.insert(3, "score", scores)
        return frame

    def similar(
        self, items: Sequence[Any], n: int = 10, *, skip_unknown: bool = False
    ) -> "pd.DataFrame":
        """Read the first n of the similar tracks that `export` publishes.

        If the winner has neither factors nor similarities, the best ALS trial has them.

        Returns:
            A frame with the columns of, rank (from 1), item, and title and artist as `recommend`
            has them.

        Raises:
            Error: A track is unknown or unplayed, or n is below 1 or more than the lists have.
        """
        return self._select(SIMILAR, "of", items, n, skip_unknown)

    def export(self, folder: str | Path, **options: Unpack[ExportOptions]) -> str:
        """Publish the winner's recommendations; earlier versions stay for a rollback.

        Args:
            folder: Path or address of the published versions.
            options: Settings of `export` that replace the search's, such as `top=50` or
                `filter_seen=True`.

        Returns:
            The address of the version.

        Raises:
            Error: An option is not allowed, the winner is no better than a baseline
                (`publish_anyway=True` publishes it), or the store has changed since the search.
        """
        document = self.config.export.model_dump() | options
        export = parse_config(ExportConfig, document, "the options")
        config = self.config.model_copy(update={"export": export})
        run = open_workspace(self.address)
        return export_run(run, config, self.winner, folder, client=self.client)

    @cached_property
    def _version(self) -> str:
        """The address of the winner's version, the same as of the command."""
        return self.export(f"{self.address}/export", publish_anyway=True)

    @cached_property
    def _lists(self) -> dict[str, dict[Any, list[Any]]]:
        """The published lists, by file, then by listener or track."""
        version = open_workspace(self._version)
        return {
            name: dict(
                orjson.loads(line).values()
                for line in version.cached(name).read_bytes().splitlines()
            )
            for name in {RECOMMENDATIONS, SIMILAR} & version.names()
        }

    @cached_property
    def _titles(self) -> Mapping[str, Title]:
        return read_titles(self.config.catalogue, open_store(self.config.store))

    def _select(
        self, file: str, key: str, asked: Sequence[Any], n: int, skip_unknown: bool
    ) -> "pd.DataFrame":
        """Read some lists of a file into a frame, with titles if there are some.

        Raises:
            Error: An id is unknown, or n is not allowed.
        """
        check_request(n, asked)
        top = self.config.export.top
        if n > top:
            raise UserError(
                f"n is {n}; lists have {top}: search with "
                f"settings={{'export.top': {n}}}"
            )
        lists = self._lists.get(file, {})
        columns: dict[str, list[Any]] = {key: [], "rank": [], "item": []}
        for name in asked:
            if name not in lists and not skip_unknown:
                raise LoopError(
                    f"{name!r}: not in the run's {file}; "
                    "skip_unknown=True leaves unknown ids out"
                )
            items = lists.get(name, [])[:n]
            columns[key] += [name] * len(items)
            columns["rank"] += range(1, len(items) + 1)
            columns["item"] += items
        if self._titles:
            titles = [self._titles.get(str(item)) for item in columns["item"]]
            for field in ("title", "artist"):
                columns[field] = [getattr(title, field, "") for title in titles]
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame

    def __repr__(self) -> str:
        """Return the winner and its score, on the test part if there is one."""
        select, kind = self.winner.select, self.winner.trial.kind
        score = f"{select} {(self.winner.metrics | self.winner.test)[select]:.4f}"
        pool = describe_pool(self.config.validation.pool)
        return f"<Run {self.address}: {score} over {pool} by {kind}>"

    def _repr_html_(self) -> str:
        """Return the report's page in a frame of the notebook."""
        report = open_workspace(self.address).read(REPORT) or b""
        return page_frame(report.decode())


def search(
    store: Store | str | Path,
    models: Mapping[str, Any] | None = None,
    *,
    metric: str = "ndcg@30",
    iterations: int = 15,
    strategy: Literal["grid", "halving"] = "grid",
    split: SplitKind | Mapping[str, Any] | None = None,
    catalogue: str | Path | Frame | None = None,
    seed: int = 42,
    run: str | Path | None = None,
    client: "Client | None" = None,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """Fit models, score them on held-out sessions, and rank them.

    Up to 200,000 plays are searched in this process, without workers, unless
    `settings={"cluster.workers": …}` asks for them. An interrupted search, called again,
    continues; a finished search fits nothing again.

    Args:
        store: The store to learn from.
        models: By the kind of model, the values of its hyperparameters: a list is an axis, all
            axes of a kind are combined; or by any name a class of another package, such as
            `(implicit.bpr.BayesianPersonalizedRanking, {"factors": [64, 128]})`. By default ALS.
        metric: The metric that chooses, as name@k.
        iterations: Iterations of each fit.
        strategy: Fit every trial to the end, or give up trials that cannot win.
        split: Kind of the split, such as "newest", or more settings of `split` in a search's
            configuration.
        catalogue: The tracks: a data frame with the column `track` and any of `title`, `artist` and
            those that `settings={"features": …}` names, or a file tracks.json or tracks.sql.
        seed: Seed of all randomness.
        run: Folder of the run; by default beside the store, named by the arguments.
        client: A Dask client whose workers run the search; by default this process, or processes
            of this machine.
        settings: Other values of a search's configuration by dotted key:
            `{"validation.min_time": 1}`.

    Returns:
        The run, which `open_run` opens again.

    Raises:
        Error: The store, the split, the models or the cluster does not allow it, or every trial
            failed.

    Example:
        >>> import listening_loop as ll
        >>> import pandas as pd
        >>> plays = pd.DataFrame({"who": [*range(40)] * 5, "song": [*range(8)] * 25})
        >>> store = ll.ingest(plays, user="who", item="song")
        >>> run = ll.search(store, {"item_knn": {}})
        >>> run.recommend([1], n=1)["item"].tolist()
        [1]
    """
    named = getattr(store, "address", store)
    if is_frame(named):
        raise UserError(
            "store: a data frame found; pass the store that ll.ingest returns, or its folder"
        )
    address = str(named)
    document: dict[str, Any] = {
        "store": address,
        "seed": seed,
        "search": {"iterations": iterations, "strategy": strategy},
        "validation": {"select": metric},
    }
    if models is not None:
        document["models"] = models
    if split:
        document["split"] = (
            {"kind": split} if isinstance(split, str) else as_dict("split", split)
        )
    if catalogue is not None:
        if is_frame(catalogue):
            catalogue = write_catalogue(catalogue)
        document["catalogue"] = str(catalogue)
    for key, value in as_dict("settings", settings).items():
        set_value(document, key, value, "settings")
    plain = orjson.loads(orjson.dumps(document, default=class_path))
    beside = f"{address.rstrip('/')}-run-{json_digest(plain)[:12]}"
    document["run"] = str(run or beside)
    config = parse_config(SearchConfig, document, "the arguments")
    folder = open_workspace(config.run)
    run_search(open_store(config.store), folder, config, client=client)
    write_report(config.run)
    return Run(config.run, *read_run(folder), client)


def open_run(address: str | Path) -> Run:
    """Open a finished search from any folder, also if it was moved together with its store.

    Example:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        recsys.errors.SearchError: nowhere: no finished run here (winner.json is missing); make \
one with listening-loop search

    Args:
        address: The folder of the run, or its address.

    Returns:
        The run.

    Raises:
        Error: There is no finished search.
    """
    return Run(str(address), *read_run(open_workspace(address)))


def page_frame(page: str) -> str:
    """Return a page as a frame of a notebook."""
    return f'<iframe style="width:100%;height:640px;border:0" srcdoc="{escape(page)}"></iframe>'
