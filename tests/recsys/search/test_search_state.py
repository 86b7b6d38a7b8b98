"""The state of a search, with scores that are made up."""

from pathlib import Path

from recsys.cluster.cluster import Outcome
from recsys.config import Search, ValidationConfig
from recsys.models.registry import read_models
from recsys.search.folder import locked_run
from recsys.search.ledger import Score
from recsys.search.scorer import Scorer
from recsys.search.search import SearchState
from recsys.search.trials import CHECKPOINTS, Checkpoint, plan_trials
from recsys.workspace import open_workspace


def test_of_a_fit_the_best_and_the_latest_checkpoint_stay(tmp_path: Path) -> None:
    """And nothing of its blocks once it is done."""
    search = Search(iterations=3, score_every=1)
    (trial,) = plan_trials(read_models({"als": {}}), {}, "data", seed=1)
    validation = ValidationConfig(ks=(30,), select="ndcg@30")
    with locked_run(open_workspace(tmp_path)) as lock:
        state = SearchState(search, [trial], [], Scorer("data", validation, 1, 1), lock)
        (tmp_path / trial.blocks).mkdir(parents=True)
        for iteration, value in ((1, 0.5), (2, 0.4), (3, 0.45)):
            step = Checkpoint(trial, iteration)
            (tmp_path / step.file).write_bytes(b"factors")
            metrics = {"ndcg@30": (value, value, value)}
            score = Score(trial, iteration, "scorer", metrics)
            state.record(Outcome(step, score, None))
        left = {
            f"{CHECKPOINTS}/{file.name}" for file in (tmp_path / CHECKPOINTS).iterdir()
        }
        assert left == {Checkpoint(trial, iteration).file for iteration in (1, 3)}
