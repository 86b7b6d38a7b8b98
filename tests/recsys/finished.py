"""A run as a finished search leaves it, of a model that nothing chose."""

from pathlib import Path
from typing import Any

import orjson

from looplib.als import AlsParams
from looplib.config import dump_config
from recsys.config import SearchConfig, SessionModelConfig
from recsys.runs.folder import CONFIG, WINNER, Winner
from recsys.runs.trials import Trial
from tests.recsys.opened import dataset_of


def finish_run(
    folder: Path,
    session_model: SessionModelConfig | None = None,
    **sections: Any,  # noqa: ANN401  of a search
) -> Path:
    """Make the folder `run` beside the folder `store`; returns it."""
    config = SearchConfig(
        store=str(folder / "store"),
        run=str(folder / "run"),
        session_model=session_model,
        **sections,
    )
    dataset = dataset_of(config)
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / CONFIG).write_text(dump_config(config))
    trial = Trial("trial", "als", AlsParams(4, 0.1, 1.0), 42)
    winner = Winner(
        trial, 2, {"ndcg@30": (0.0, 0.0, 0.0)}, "ndcg@30", dataset.summary.digest
    )
    (run / WINNER).write_bytes(orjson.dumps(winner))
    return run
