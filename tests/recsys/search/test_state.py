"""The state of a search, with scores that are made up."""

from pathlib import Path

from recsys.cluster.cluster import Outcome
from recsys.config import Search, ValidationConfig
from recsys.search.folder import CHECKPOINTS, blocks_name, checkpoint_name, locked_run
from recsys.search.ledger import Score
from recsys.search.trials import plan_candidates
from recsys.search.scorer import Scorer
from recsys.search.state import SearchState
from recsys.workspace import open_workspace


def test_of_a_fit_the_best_and_the_latest_checkpoint_stay(tmp_path: Path) -> None:
    """And nothing of its blocks once it is done."""
    search = Search(sweeps=3, score_every=1)
    (trial,) = plan_candidates(search, "data", seed=1)
    validation = ValidationConfig(ks=(30,), select="ndcg@30")
    with locked_run(open_workspace(tmp_path)) as lock:
        state = SearchState(search, [trial], [], Scorer("data", validation, 1, 1), lock)
        (tmp_path / blocks_name(trial.id)).mkdir(parents=True)
        for sweep, value in ((1, 0.5), (2, 0.4), (3, 0.45)):
            name = checkpoint_name(trial.id, sweep)
            (tmp_path / name).write_bytes(b"factors")
            score = Score(sweep, {"ndcg@30": (value, value, value)})
            state.record(Outcome((trial, sweep), score, None))
        kept = [checkpoint_name(trial.id, sweep) for sweep in (1, 3)]
        found = (tmp_path / CHECKPOINTS).iterdir()
        assert sorted(f"{CHECKPOINTS}/{file.name}" for file in found) == sorted(kept)
