"""A run as a finished search leaves it, of a model that nothing chose."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.als import AlsConfig
from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.search.folder import CONFIG, LEADERBOARD, LEDGER, WINNER, Winner
from recsys.search.leaderboard import rank
from recsys.search.ledger import Ledger, Score
from recsys.search.trials import Trial
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
    metric, metrics = "ndcg@30", {"ndcg@30": (0.0, 0.0, 0.0)}
    score = Score(trial, 2, "scorer", metrics)
    Ledger(run / LEDGER, "scorer").add(score)
    rows = rank([trial], {}, {trial.id: (score,)}, metric).rows()
    pq.write_table(pa.Table.from_pylist(rows), run / LEADERBOARD)
    winner = Winner(trial, 2, metrics, metric, dataset.summary.digest)
    (run / WINNER).write_bytes(orjson.dumps(winner))
    return run
