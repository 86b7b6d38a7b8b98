"""A run as a finished search leaves it, of a model that nothing chose."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.als import AlsParams
from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.search.folder import CONFIG, LEADERBOARD, LEDGER, WINNER, Winner
from recsys.search.leaderboard import leaderboard_rows
from recsys.search.ledger import Ledger, Score
from recsys.search.leaderboard import rank
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
    trial = Trial("trial", "als", AlsParams(4, 0.1, 1.0), 42)
    metric, metrics = "ndcg@30", {"ndcg@30": (0.0, 0.0, 0.0)}
    score = Score(2, metrics)
    Ledger(run / LEDGER, "scorer").add(trial, score)
    ranking = rank([trial], {}, {trial.id: (score,)}, metric)
    rows = pa.Table.from_pylist(leaderboard_rows(ranking))
    pq.write_table(rows, run / LEADERBOARD)
    winner = Winner(trial, 2, metrics, metric, dataset.summary.digest)
    (run / WINNER).write_bytes(orjson.dumps(winner))
    return run
