"""A run folder whose search is under way."""

from pathlib import Path

from looplib.als import AlsConfig
from looplib.config import dump_config
from recsys.config import SearchConfig
from recsys.models.trial import Trial
from recsys.report.runs import read_folder
from recsys.run import CONFIG, LEDGER
from recsys.search.ledger import Ledger, Score
from recsys.storage import open_workspace


def test_scores_of_an_earlier_search_in_the_folder_are_not_those_of_this_one(
    tmp_path: Path,
) -> None:
    run = open_workspace(tmp_path)
    (tmp_path / CONFIG).write_text(dump_config(SearchConfig(store="s", run="r")))
    for scorer, factors in (("earlier", 8), ("this", 16)):
        params = AlsConfig(factors=factors).model_dump()
        trial = Trial(f"of {scorer}", "als", params, 1)
        ledger = Ledger(tmp_path / LEDGER, scorer)
        ledger.add(Score(trial, 5, scorer, {"ndcg@30": (0.5, 0.4, 0.6)}))
    folder = read_folder(run, "name")
    assert [row["trial"] for row in folder.rows] == ["of this"]
    assert folder.state == "running"
