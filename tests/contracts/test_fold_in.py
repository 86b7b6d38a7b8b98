"""The service solves a new listener's factor as the fit that published the tracks' factors would."""

from dataclasses import asdict

import msgspec
import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from botify.model.fold_in import Feedback, FoldIn, Parameters
from looplib.arrays import Float32Array
from recsys.models.als import Als, AlsParams
from recsys.models.normal_equations import make_equations

LISTENERS, NEW, TRACKS, HEARD = 600, 150, 400, 20


def make_folding(items: Float32Array, params: AlsParams, **feedback: float | bool | str) -> FoldIn:
    parameters = msgspec.convert(asdict(params), Parameters)
    gram = (items.T @ items).astype(np.float64)
    return FoldIn(items, len(items), gram, parameters, msgspec.convert(feedback, Feedback), unit=1.0)


@pytest.mark.parametrize(
    ("params", "feedback"),
    [
        (AlsParams(6, 0.1, 10.0, solver="cholesky"), {}),
        (AlsParams(6, 0.2, 3.0, solver="cholesky", unobserved_weight=0.3, nu=0.7), {"scale": "log"}),
        (AlsParams(6, 0.2, 3.0, solver="cholesky", spark=True), {"min_time": 0.3}),
        (AlsParams(6, 0.2, 3.0, solver="cholesky", skip_weight=2.0), {"skip_time": 0.3, "organic": False}),
    ],
    ids=["plain", "nu and log", "spark and min_time", "skips"],
)
def test_a_session_gives_the_factor_that_the_fit_s_solver_gives(
    params: AlsParams, feedback: dict[str, float | bool | str]
) -> None:
    items = np.random.default_rng(4).normal(size=(30, params.factors)).astype(np.float32)
    tracks, times = (3, 17, 9, 3, 21, 9, 2), (0.9, 0.4, 0.2, 0.6, 1.0, 0.5, 0.0)
    heard, skipped = np.zeros((1, 30)), np.zeros((1, 30))
    for position, (track, time) in enumerate(zip(tracks, times, strict=True)):
        if position and time < float(feedback.get("skip_time", 0)):
            skipped[0, track] += 1
        elif time >= float(feedback.get("min_time", 0)) and (position or feedback.get("organic", True)):
            heard[0, track] += time
    heard = np.log1p(heard) if feedback.get("scale") == "log" else heard
    expected = np.zeros((1, params.factors), dtype=np.float32)
    equations = make_equations(csr_matrix(heard.astype(np.float32)), csr_matrix(skipped.astype(np.float32)), params)
    equations.solve(expected, items, 1)
    found = make_folding(items, params, **feedback).solve(tracks, times)
    assert found == pytest.approx(expected[0], rel=1e-3, abs=1e-5)


def test_nothing_heard_gives_no_factor() -> None:
    folding = make_folding(np.ones((4, 2), np.float32), AlsParams(2, 0.1, 1.0))
    assert folding.solve((1,), (0.0,)) is None


def ndcg(scores: Float32Array, heard: csr_matrix, held_out: csr_matrix, k: int = 30) -> float:
    """Mean NDCG of the lists of the highest scores, without what was heard."""
    scores = np.where(heard.toarray() > 0, -np.inf, scores)
    lists = np.argsort(-scores, axis=1)[:, :k]
    gains = np.take_along_axis(held_out.toarray() > 0, lists, axis=1) / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))[np.minimum(held_out.getnnz(axis=1), k) - 1]
    return float((gains.sum(axis=1) / ideal).mean())


def test_lists_of_new_listeners_are_nearly_as_good_as_those_of_a_model_that_knows_them() -> None:
    generator = np.random.default_rng(11)
    tastes = generator.normal(size=(LISTENERS + NEW, 8)) @ generator.normal(size=(8, TRACKS)) / 2
    order = np.argsort(-(tastes + generator.gumbel(size=tastes.shape)), axis=1)[:, : 2 * HEARD]
    order = generator.permuted(order, axis=1)
    rows = np.repeat(np.arange(len(order)), HEARD)
    shape = (len(order), TRACKS)
    times = generator.uniform(0.3, 1, size=len(rows)).astype(np.float32)
    heard = csr_matrix((times, (rows, order[:, :HEARD].ravel())), shape)
    held_out = csr_matrix((times, (rows, order[:, HEARD:].ravel())), shape)
    params, new = AlsParams(16, 0.1, 10.0), slice(LISTENERS, None)
    published, retrained = (Als(csr_matrix(matrix), params, 3, 1) for matrix in (heard[:LISTENERS], vstack([heard])))
    for model in (published, retrained):
        model.sweep(15)
    folding = make_folding(published.item_factors, params)
    sessions = [(row.indices.tolist(), row.data.tolist()) for row in heard[new]]
    solved = [folding.solve(tracks, shares) for tracks, shares in sessions]
    factors = np.stack([factor for factor in solved if factor is not None])
    by_folding = ndcg((factors @ published.item_factors.T).astype(np.float32), heard[new], held_out[new])
    by_retraining = ndcg(retrained.user_factors[new] @ retrained.item_factors.T, heard[new], held_out[new])
    popular = np.tile(heard.getnnz(axis=0).astype(np.float32), (NEW, 1))
    assert by_retraining > 1.5 * ndcg(popular, heard[new], held_out[new])
    assert by_folding > 0.98 * by_retraining
