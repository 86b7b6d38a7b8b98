"""The service solves a listener's factor, new or known, as the published fit would."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from botify.model.catalogue import user_number
from botify.model.factors import FACTORS, HISTORY, ItemFactors
from botify.recommenders.base import Query
from botify.recommenders.registry import RECOMMENDERS
from botify.service import load_configured
from looplib.als import SCALES, AlsConfig
from recsys.config import ExportConfig
from recsys.models.solver import solve
from tests.botify.exports import make_settings
from tests.recsys.finished import finish_run
from tests.recsys.search.quick import publish_run
from tests.recsys.tables import ingest_tables


@pytest.mark.parametrize(
    ("changes", "feedback"),
    [
        ({}, {}),
        ({"unobserved_weight": 0.3, "nu": 0.7}, {"scale": "log"}),
        ({}, {"min_time": 0.3}),
    ],
    ids=["plain", "nu and log", "min_time"],
)
def test_a_session_gives_the_factor_that_the_fit_s_solver_gives(
    changes: dict[str, float], feedback: dict[str, Any]
) -> None:
    plain = {"factors": 6, "regularization": 0.2, "alpha": 3.0}
    params = AlsConfig.model_validate(plain | changes)
    items = (
        np.random.default_rng(4).normal(size=(30, params.factors)).astype(np.float32)
    )
    tracks, times = (3, 17, 9, 3, 21, 9, 2), (0.9, 0.4, 0.2, 0.6, 1.0, 0.5, 0.0)
    heard = np.zeros((1, 30))
    for track, time in zip(tracks, times, strict=True):
        if time >= float(feedback.get("min_time", 0)):
            heard[0, track] += time
    heard = np.log1p(heard) if feedback.get("scale") else heard
    expected = np.zeros((1, params.factors), dtype=np.float32)
    times_by_track = csr_matrix(heard.astype(np.float32))
    solve(expected, [items], times_by_track, params, 1, cg_steps=30)
    found = ItemFactors(items, len(items), params, **feedback).solve(tracks, times)
    assert found == pytest.approx(expected[0], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("scale", ["linear", "log", "binary"])
def test_a_known_listener_s_factor_is_that_of_history_and_session(
    scale: str, tmp_path: Path
) -> None:
    generator = np.random.default_rng(6)
    users, items = generator.integers((30, 40), size=(900, 2)).T
    columns = {"u": users, "i": items, "w": generator.uniform(1, 9, 900)}
    plays = pd.DataFrame(columns)
    plays.to_parquet(file := tmp_path / "plays.parquet")
    ingest_tables(tmp_path, file, columns="user=u,item=i,weight=w")
    run = finish_run(tmp_path, feedback={"scale": scale})
    config = ExportConfig(top=5, filter_seen=True)
    version = publish_run(run, tmp_path / "out", config)
    service = make_settings(tmp_path / "out", version / "tracks.json", "fold_in")
    model = load_configured(service)
    folding, history = model.get(FACTORS), model.get(HISTORY)
    assert folding is not None
    assert history is not None
    with np.load(version / "factors.npz") as factors:
        ids = factors["tracks"].tolist()
        vectors = factors["item_factors"].astype(np.float64)
    sums = plays.groupby(["u", "i"])["w"].sum()
    if scale == "binary":  # a history of what was heard, without how long
        sums[:] = 1.0
    unit = SCALES[scale](sums.to_numpy()).mean()
    track = model.catalogue.number(4)
    for user in (3, 17):
        weights = sums[user].to_dict()
        weights[4] = weights.get(4, 0.0) + unit / 2  # half of it is heard now
        values = np.array(list(weights.values()))
        values = SCALES[scale](values)
        rows = vectors[[ids.index(item) for item in weights]]
        left = vectors.T @ vectors + (rows.T * values) @ rows + 0.1 * np.eye(4)
        expected = np.linalg.solve(left, rows.T @ (1 + values))
        factor = folding.solve([track], [0.5], history.values_of(user_number(user)))
        assert factor == pytest.approx(expected, rel=1e-4)
        query = Query(user_number(user), [track], [0.5])
        drawn = RECOMMENDERS["fold_in"].draw(model, query, generator)
        # as in the lists of this export
        assert model.catalogue.ids[drawn.track] not in weights
    assert history.values_of(user_number(99)) == {}
