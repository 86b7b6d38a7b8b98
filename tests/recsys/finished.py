"""A run as a finished search leaves it, of a model that nothing chose."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.statistics.effects import Interval
from looplib.als import AlsConfig
from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.models.trial import Trial
from recsys.run import CONFIG, Winner, read_run, write_winner
from recsys.storage import open_workspace
from recsys.store.reader import open_store
from tests.recsys.opened import dataset_of


def finish_run(
    folder: Path,
    **sections: Any,  # noqa: ANN401  of a search
) -> Path:
    """Make the folder `run` beside the folder `store`; returns it."""
    config = SearchConfig(
        store=str(folder / "store"),
        run=str(folder / "run"),
        **sections,
    )
    dataset = dataset_of(config)
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / CONFIG).write_text(dump_config(config))
    params = {"factors": 4, "regularization": 0.1, "alpha": 1.0}
    trial = Trial("trial", "als", AlsConfig(**params).model_dump(), 42)
    metrics = {"ndcg@30": Interval(0.0, 0.0, 0.0)}
    digest = open_store(config.store).manifest.digest
    winner = Winner(trial, 2, metrics, "ndcg@30", dataset.summary.digest, digest)
    write_winner(open_workspace(run), winner)
    return run


def choose_another(run: Path, kind: str) -> None:
    """Make a model without factors the winner; the one before it has the best factors."""
    workspace = open_workspace(run)
    winner = read_run(workspace)[1]
    trial = Trial(kind, kind, {}, 1)
    another = replace(winner, trial=trial, iterations=0, factors=winner.fitted)
    write_winner(workspace, another)
