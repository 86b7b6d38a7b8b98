"""The state of a search, with scores that are made up."""

from pathlib import Path

from recsys.cluster.cluster import Outcome
from recsys.config import Search, ValidationConfig
from recsys.runs.folder import CHECKPOINTS, blocks_name, checkpoint_name, locked_run
from recsys.runs.ledger import Score
from recsys.runs.trials import plan_candidates
from recsys.scoring import Scorer
from recsys.search.state import SearchState
from recsys.workspace import open_workspace


def test_a_fit_that_is_done_leaves_no_checkpoint(tmp_path: Path) -> None:
    """Neither its own nor that of its blocks."""
    search = Search(sweeps=1)
    (trial,) = plan_candidates(search, "data", seed=1)
    validation = ValidationConfig(ks=(30,), select="ndcg@30")
    with locked_run(open_workspace(tmp_path)) as lock:
        state = SearchState(search, [trial], [], Scorer("data", validation, 1, 1), lock)
        (tmp_path / blocks_name(trial.id)).mkdir(parents=True)
        (tmp_path / checkpoint_name(trial.id)).write_bytes(b"factors")
        score = Score(1, {"ndcg@30": (0.5, 0.4, 0.6)})
        state.record(Outcome((trial, 1), score, None))
        assert list((tmp_path / CHECKPOINTS).iterdir()) == []
