"""The service solves a listener's factor, new or known, as the published fit would."""

from pathlib import Path

import msgspec
import numpy as np
import orjson
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, vstack

from analysis.logs.columns import Reading, parse_columns
from botify.model.catalogue import user_number
from botify.model.factors import FACTORS, HISTORY, ItemFactors
from botify.model.manifest import Feedback
from botify.recommenders.base import IS_EXHAUSTED, Row, take_best
from botify.recommenders.registry import RECOMMENDERS
from botify.service import load_configured
from looplib.als import AlsConfig
from looplib.arrays import Float32Array
from looplib.checksums import unseal
from recsys.config import ExportConfig
from recsys.export.export import export_run
from recsys.ingest.pipeline import ingest
from recsys.models.solver import solve
from tests.botify.exports import make_settings
from tests.recsys.finished import finish_run
from tests.recsys.fits import fit_als

LISTENERS, NEW, TRACKS, HEARD = 600, 150, 400, 20


def make_folding(
    items: Float32Array, params: AlsConfig, **feedback: float | bool | str
) -> ItemFactors:
    return ItemFactors(items, len(items), params, msgspec.convert(feedback, Feedback))


@pytest.mark.parametrize(
    ("params", "feedback"),
    [
        (AlsConfig(factors=6, regularization=0.1, alpha=10.0, cg_steps=30), {}),
        (
            AlsConfig(
                factors=6,
                regularization=0.2,
                alpha=3.0,
                cg_steps=30,
                unobserved_weight=0.3,
                nu=0.7,
            ),
            {"scale": "log"},
        ),
        (
            AlsConfig(factors=6, regularization=0.2, alpha=3.0, cg_steps=30),
            {"min_time": 0.3},
        ),
    ],
    ids=["plain", "nu and log", "min_time"],
)
def test_a_session_gives_the_factor_that_the_fit_s_solver_gives(
    params: AlsConfig, feedback: dict[str, float | bool | str]
) -> None:
    items = (
        np.random.default_rng(4).normal(size=(30, params.factors)).astype(np.float32)
    )
    tracks, times = (3, 17, 9, 3, 21, 9, 2), (0.9, 0.4, 0.2, 0.6, 1.0, 0.5, 0.0)
    heard = np.zeros((1, 30))
    for track, time in zip(tracks, times, strict=True):
        if time >= float(feedback.get("min_time", 0)):
            heard[0, track] += time
    heard = np.log1p(heard) if feedback.get("scale") == "log" else heard
    expected = np.zeros((1, params.factors), dtype=np.float32)
    solve(expected, [items], csr_matrix(heard.astype(np.float32)), params, 1)
    found = make_folding(items, params, **feedback).solve(tracks, times)
    assert found == pytest.approx(expected[0], rel=1e-3, abs=1e-5)


def test_nothing_heard_gives_no_factor() -> None:
    folding = make_folding(
        np.ones((4, 2), np.float32), AlsConfig(factors=2, regularization=0.1, alpha=1.0)
    )
    assert folding.solve((1,), (0.0,)) is None


def test_the_best_track_is_that_of_all_scores() -> None:
    generator = np.random.default_rng(2)
    items = (
        generator.normal(size=(7000, 6)) * generator.lognormal(sigma=1, size=(7000, 1))
    ).astype(np.float32)
    for factor in generator.normal(size=(50, 6)).astype(np.float32):
        scores = items @ factor
        best = np.argsort(-scores)[:30].tolist()
        found = [take_best(scores.copy(), best[:taken]).track for taken in (0, 1, 29)]
        assert found == [best[0], best[1], best[29]]
        assert take_best(-scores, set(range(7000)) - {3}).track == 3
    assert take_best(items @ items[0], range(7000)) == IS_EXHAUSTED


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_known_listener_s_factor_is_that_of_history_and_session(
    scale: str, tmp_path: Path
) -> None:
    generator = np.random.default_rng(6)
    plays = pd.DataFrame(
        {"u": generator.integers(30, size=900), "i": generator.integers(40, size=900)}
    )
    plays = plays.assign(
        u=plays["u"].map("u{}".format),
        i=plays["i"].map("i{}".format),
        w=generator.uniform(1, 9, 900),
    )
    plays.to_parquet(tmp_path / "plays.parquet")
    reading = Reading(parse_columns("user=u,item=i,weight=w"))
    ingest([tmp_path / "plays.parquet"], tmp_path / "store", reading, memory="200MB")
    run = finish_run(tmp_path, feedback={"scale": scale})
    version = Path(
        export_run(run, tmp_path / "out", ExportConfig(top=5, filter_seen=True))
    )
    service = make_settings(tmp_path / "out", version / "tracks.json", "fold_in")
    model = load_configured(service)
    folding, history = model.get(FACTORS), model.get(HISTORY)
    assert folding is not None
    assert history is not None
    with np.load(version / "factors.npz") as factors:
        ids, items = (
            factors["tracks"].tolist(),
            factors["item_factors"].astype(np.float64),
        )
    number, sums = model.catalogue.numbers, plays.groupby(["u", "i"])["w"].sum()
    unit = (np.log1p(sums) if scale == "log" else sums).mean()
    for user in ("u3", "u17"):
        total = {item: sums.get((user, item), 0.0) for item in ids} | {
            "i4": sums.get((user, "i4"), 0.0) + unit / 2
        }
        heard = {item: value for item, value in total.items() if value}
        rows = items[[ids.index(item) for item in heard]]
        values = (
            np.log1p(list(heard.values()))
            if scale == "log"
            else np.array(list(heard.values()))
        )
        left = items.T @ items + (rows.T * values) @ rows + 0.1 * np.eye(4)
        known = history.of(user_number(user))
        found = folding.solve([number["i4"]], [0.5], known)
        assert found == pytest.approx(
            np.linalg.solve(left, rows.T @ (1 + values)), rel=1e-4
        )
        row = Row(user_number(user), [number["i4"]], [0.5])
        drawn = RECOMMENDERS["fold_in"].draw(model, row, generator)
        assert (
            model.catalogue.ids[drawn.track] not in heard
        )  # as in the lists of this export
    assert history.of(user_number("nobody")) == {}
    (version / "history.npz").unlink()  # as exports were before
    manifest = unseal((version / "manifest.json").read_bytes())
    manifest["files"].pop("history.npz")
    (version / "manifest.json").write_bytes(orjson.dumps(manifest))
    older = load_configured(service)
    assert older.get(HISTORY) is None
    row = Row(user_number("u3"), [number["i4"]], [0.5])
    drawn = RECOMMENDERS["fold_in"].draw(older, row, generator)
    alone = folding.solve(row.tracks, row.times)
    assert alone is not None
    assert (
        drawn.track
        == take_best(folding.items @ alone.astype(np.float32), row.tracks).track
    )


def ndcg(
    scores: Float32Array, heard: csr_matrix, held_out: csr_matrix, k: int = 30
) -> float:
    """Mean NDCG of the lists of the highest scores, without what was heard."""
    scores = np.where(heard.toarray() > 0, -np.inf, scores)
    lists = np.argsort(-scores, axis=1)[:, :k]
    gains = np.take_along_axis(held_out.toarray() > 0, lists, axis=1) / np.log2(
        np.arange(k) + 2
    )
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))[
        np.minimum(held_out.getnnz(axis=1), k) - 1
    ]
    return float((gains.sum(axis=1) / ideal).mean())


def test_lists_of_new_listeners_are_nearly_as_good_as_those_of_a_model_that_knows_them() -> (
    None
):
    generator = np.random.default_rng(11)
    tastes = (
        generator.normal(size=(LISTENERS + NEW, 8))
        @ generator.normal(size=(8, TRACKS))
        / 2
    )
    order = np.argsort(-(tastes + generator.gumbel(size=tastes.shape)), axis=1)[
        :, : 2 * HEARD
    ]
    order = generator.permuted(order, axis=1)
    rows = np.repeat(np.arange(len(order)), HEARD)
    shape = (len(order), TRACKS)
    times = generator.uniform(0.3, 1, size=len(rows)).astype(np.float32)
    heard = csr_matrix((times, (rows, order[:, :HEARD].ravel())), shape)
    held_out = csr_matrix((times, (rows, order[:, HEARD:].ravel())), shape)
    params, new = (
        AlsConfig(factors=16, regularization=0.1, alpha=10.0),
        slice(LISTENERS, None),
    )
    published, retrained = (
        fit_als(csr_matrix(matrix), params, seed=3, iterations=15).factors
        for matrix in (heard[:LISTENERS], vstack([heard]))
    )
    folding = make_folding(published.item_factors, params)
    sessions = [(row.indices.tolist(), row.data.tolist()) for row in heard[new]]
    solved = [folding.solve(tracks, shares) for tracks, shares in sessions]
    factors = np.stack([factor for factor in solved if factor is not None])
    by_folding = ndcg(
        (factors @ published.item_factors.T).astype(np.float32),
        heard[new],
        held_out[new],
    )
    by_retraining = ndcg(
        retrained.user_factors[new] @ retrained.item_factors.T,
        heard[new],
        held_out[new],
    )
    popular = np.tile(heard.getnnz(axis=0).astype(np.float32), (NEW, 1))
    assert by_retraining > 1.5 * ndcg(popular, heard[new], held_out[new])
    assert by_folding > 0.98 * by_retraining
