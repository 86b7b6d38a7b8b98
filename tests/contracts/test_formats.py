"""Stores, runs and exports of this format stay readable: `formats/` was written by 0.5."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from analysis.store import open_store
from botify.service import load_configured
from looplib.checksums import seal, unseal
from recsys.errors import SearchError
from recsys.run import LEDGER, WINNER, read_run
from recsys.search.ledger import read_ledger
from recsys.storage import open_workspace
from tests.botify.exports import make_settings

FORMATS = Path(__file__).parent / "formats"


def test_a_store_of_the_format_has_its_plays() -> None:
    store = open_store(FORMATS / "store")
    query = "SELECT count(*), count(DISTINCT listener), sum(amount) FROM plays"
    assert store.sql(query).fetchall() == [(72, 6, 9673.0)]


def test_a_run_of_the_format_has_its_winner_and_its_scores() -> None:
    config, winner = read_run(open_workspace(FORMATS / "run"))
    assert config.search.iterations == winner.iterations == 2
    assert winner.store == open_store(FORMATS / "store").manifest.digest
    scores, damaged = read_ledger(FORMATS / "run" / LEDGER)
    assert damaged == []
    assert winner.fitted in [score.checkpoint for score in scores]


def test_an_export_of_the_format_is_served(tmp_path: Path) -> None:
    shutil.copytree(FORMATS / "export", tmp_path / "current")
    catalogue = tmp_path / "current" / "tracks.json"
    model = load_configured(make_settings(tmp_path, catalogue, "fold_in"))
    assert model.version == "als-43a8fe260a35"
    with np.load(tmp_path / "current" / "factors.npz") as factors:
        assert factors["item_factors"].shape == (8, 2)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (2, "format 2 is of a newer version, .*pip install --upgrade listening-loop"),
        (None, "format 0 is of 0.4 or earlier, not read; search again"),
    ],
)
def test_a_run_of_another_format_is_refused_in_a_line(
    tmp_path: Path, schema: int | None, message: str
) -> None:
    run = shutil.copytree(FORMATS / "run", tmp_path / "run")
    winner = unseal((run / WINNER).read_bytes())
    del winner["schema"]
    changes = {} if schema is None else {"schema": schema, "unknown": {}}
    (run / WINNER).write_bytes(msgspec.json.encode(seal({**winner, **changes})))
    with pytest.raises(SearchError, match=message) as caught:
        read_run(open_workspace(run))
    assert "\n" not in str(caught.value)
