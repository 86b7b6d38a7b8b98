"""A run as a finished search leaves it, of a model that nothing chose."""

from pathlib import Path
from typing import Any

import orjson

from analysis.statistics.effects import Interval
from looplib.als import AlsConfig
from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.models.trial import Trial
from recsys.run import CONFIG, WINNER, Winner
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
    (run / WINNER).write_bytes(orjson.dumps(winner))
    return run
