"""A step of a fit, run as a worker runs it: from its checkpoint to the next score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import ndcg_score  # type: ignore[import-untyped]

from looplib.als import AlsConfig
from looplib.rerank import Rerank
from recsys import blockwise
from recsys.cluster.config import ClusterConfig
from recsys.config import SearchConfig, ValidationConfig
from recsys.dataset.dataset import Dataset
from recsys.errors import TrialTimeoutError
from recsys.models.als import Als
from recsys.models.trial import Checkpoint, Trial
from recsys.search.evaluation import (
    Evaluation,
    resolve_split,
    score_lists,
    validator_for,
)
from recsys.search.ledger import Score
from recsys.search.step import plan_step, run_step
from recsys.storage import open_workspace
from tests.recsys.fits import fit_als
from tests.recsys.in_process import in_process
from tests.recsys.opened import dataset_of

PARAMS = {"factors": 4, "regularization": 1.0}
TRIAL = Trial("abc", "als", PARAMS, 7)
VALIDATION = ValidationConfig(ks=(5, 30), select="ndcg@30")


@pytest.fixture(scope="module")
def dataset(store: Path) -> Dataset:
    return dataset_of(SearchConfig(store=store, run=store.parent / "run"))


@pytest.fixture
def evaluation(dataset: Dataset) -> Evaluation:
    return Evaluation(dataset.address, VALIDATION, seed=1)


def fit(dataset: Dataset, iterations: int) -> Als:
    return fit_als(dataset.matrix("training"), AlsConfig(**PARAMS), 7, iterations)


def step(
    evaluation: Evaluation,
    folder: Path,
    iteration: int,
    start: int = 0,
    is_whole: bool = False,
) -> Score:
    return run_step(
        Checkpoint(TRIAL, iteration), evaluation, str(folder), start, is_whole
    )


def test_a_step_goes_on_from_its_checkpoint_and_scores_what_a_fit_in_one_piece_scores(
    evaluation: Evaluation, dataset: Dataset, tmp_path: Path
) -> None:
    whole = fit(dataset, 5)
    expected, _ = score_lists(evaluation, whole.recommend(30), is_whole=True)
    step(evaluation, tmp_path, 2)
    with np.load(tmp_path / Checkpoint(TRIAL, 2).file) as state:
        assert state["iterations"] == 2
    score = step(evaluation, tmp_path, 5, start=2)
    assert score.metrics.keys() == {"ndcg@30"}
    ends = [*expected["ndcg@30"]]
    assert [*score.metrics["ndcg@30"]] == pytest.approx(ends, rel=1e-12)
    with np.load(tmp_path / Checkpoint(TRIAL, 5).file) as state:
        assert np.array_equal(state["item_factors"], whole.factors.item_factors)
        assert state["fit_s"] == pytest.approx(score.fit_s, abs=0.001)


def test_of_what_is_left_at_the_end_every_metric_is_computed_without_another_fit(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partly = step(evaluation, tmp_path, 3)
    step(evaluation, tmp_path, 4, start=3)
    with monkeypatch.context() as patch:
        patch.setattr(Als, "partial_fit", None)
        whole = step(evaluation, tmp_path, 3, is_whole=True)
    assert (partly.is_whole, whole.is_whole) == (False, True)
    assert (whole.iteration, whole.fit_s) == (3, partly.fit_s)


def test_a_fit_in_blocks_ends_after_the_iteration_in_which_its_time_is_over(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockwise, "SMALLEST_S", 0)
    step = Checkpoint(TRIAL, 9)
    cluster = in_process()
    cluster.config = ClusterConfig(fit="blocks")
    plan = plan_step(cluster, step, evaluation, str(tmp_path), 0, minutes=1e-9)
    with pytest.raises(TrialTimeoutError, match="took longer"):
        cluster.run_plan(plan)
    assert not (tmp_path / step.file).exists()


def test_all_repeats_and_new_tracks_are_scored_each(
    evaluation: Evaluation, dataset: Dataset, tmp_path: Path
) -> None:
    """Against scikit-learn on the tracks of each pool."""
    metrics = step(evaluation, tmp_path, 3, is_whole=True).metrics
    heard = dataset.matrix("training").toarray() > 0
    factors = fit(dataset, 3).factors
    products = factors.user_factors @ factors.item_factors.T
    relevant = np.zeros(heard.shape)
    for row in pq.read_table(dataset.heldout).to_pylist():
        relevant[row["user"], row["track"]] = row["time"] >= VALIDATION.min_time
    pools = {"": heard | True, "repeat_": heard, "new_": ~heard}
    for segment, pool in pools.items():
        gains = [
            ndcg_score([hits[inside]], [scores[inside]], k=30)
            for hits, scores, inside in zip(relevant, products, pool, strict=True)
            if hits[inside].any() and inside.sum() > 1
        ]
        value = metrics[f"{segment}ndcg@30"].value
        assert value == pytest.approx(np.mean(gains), rel=1e-6)


def test_re_ranked_lists_are_scored_beside_the_others_for_their_price(
    evaluation: Evaluation, dataset: Dataset, tmp_path: Path
) -> None:
    options = Rerank(diversity=0.5)
    reranking = replace(evaluation, rerank=options)
    assert reranking.digest != evaluation.digest
    metrics = step(reranking, tmp_path, 2, is_whole=True).metrics
    model = fit(dataset, 2)
    lists = model.diversify(model.recommend(options.depth(30)), 30, options)
    expected, _ = score_lists(evaluation, lists, is_whole=True)
    assert metrics["reranked_gini@30"] == expected["gini@30"]
    price = metrics["ndcg@30"].value - expected["ndcg@30"].value
    assert metrics["price_ndcg@30"].value == pytest.approx(price)
    assert price > 0


def test_without_its_checkpoint_or_with_one_beyond_the_step_a_fit_begins_anew(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    expected = step(evaluation, tmp_path / "other", 2).metrics
    step(evaluation, tmp_path, 4)
    assert step(evaluation, tmp_path, 2).metrics == expected


def test_what_listeners_add_makes_up_the_metric(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    score = step(evaluation, tmp_path, 2)
    run = open_workspace(tmp_path)
    numerators, denominators = evaluation.read_listeners(run, score.checkpoint)
    assert len(numerators) == len(validator_for(evaluation).users)
    assert numerators.sum() / denominators.sum() == pytest.approx(
        score.metrics["ndcg@30"].value, abs=1e-12
    )


def test_no_more_listeners_choose_than_are_needed(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.search.evaluation._FEWEST_IN_TEST", 9)
    monkeypatch.setattr("recsys.search.evaluation._MOST_CHOOSE", 15)
    listener_count = len(validator_for(evaluation).users)
    resolved = resolve_split(evaluation)
    assert resolved.validation.test_share == 1 - 15 / listener_count
    assert len(validator_for(resolved).users) < 0.5 * listener_count


def test_of_many_listeners_who_choose_nothing_some_are_scored(
    evaluation: Evaluation,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsys.search.evaluation._FEWEST_IN_TEST", 9)
    monkeypatch.setattr("recsys.search.evaluation._MOST_CHOOSE", 15)
    every = resolve_split(evaluation)
    monkeypatch.setattr("recsys.search.evaluation._MOST_TESTED", 12)
    some = resolve_split(evaluation)
    assert some.digest != every.digest
    scores = [step(one, tmp_path, 3, is_whole=True) for one in (some, every)]
    assert scores[0].metrics == scores[1].metrics
    tested = [validator_for(replace(one, is_test=True)).users for one in (some, every)]
    assert 0 < len(tested[0]) < len(tested[1])
    assert {*tested[0]} < {*tested[1]}
    checkpoint = scores[0].checkpoint
    lists = fit(dataset, 3).recommend(30)
    examples = np.load(tmp_path / some.listeners_file(checkpoint))["examples"]
    assert np.array_equal(examples[:, 1:], lists[examples[:, 0]])


def test_scores_are_comparable_only_by_the_same_data_validation_and_seed(
    evaluation: Evaluation,
) -> None:
    others = [
        Evaluation(f"{evaluation.dataset}-other", VALIDATION, 1),
        Evaluation(
            evaluation.dataset, VALIDATION.model_copy(update={"min_time": 0.4}), 1
        ),
        Evaluation(evaluation.dataset, VALIDATION, 2),
    ]
    assert evaluation.digest not in {other.digest for other in others}
    assert (
        evaluation.digest
        == Evaluation(
            f"moved/{evaluation.dataset.rpartition('/')[2]}", VALIDATION, 1
        ).digest
    )
