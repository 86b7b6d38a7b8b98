"""A step of a fit, run as a worker runs it: from its checkpoint to the next score."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from looplib.als import AlsParams
from recsys.config import SearchConfig, ValidationConfig
from recsys.dataset.dataset import Dataset
from recsys.errors import SearchError, TrialError
from recsys.models.topk import personal_lists
from recsys.runs.folder import (
    CHECKPOINTS,
    checkpoint_name,
    listeners_name,
    read_listeners,
)
from recsys.runs.trials import Trial, plan_baselines
from recsys.scoring import Scorer, score_lists, validator_for
from recsys.search.fit_step import run_step
from recsys.workspace import open_workspace
from tests.recsys.fits import fit_als
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import dataset_of

TRIAL = Trial("abc", "als", AlsParams(4, 1.0, 10.0), 7)
BASELINES = {trial.id: trial for trial in plan_baselines(seed=1, is_ordered=True)}
VALIDATION = ValidationConfig(ks=(5, 30), select="ndcg@30", resamples=100)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("fitting")
    store = make_store(
        folder, random_sessions(5, listeners=60, tracks=90, sessions=1500), tracks=90
    )
    config = SearchConfig(store=store, run=folder / "run")
    return dataset_of(config)


@pytest.fixture
def scorer(dataset: Dataset) -> Scorer:
    return Scorer(dataset.address, VALIDATION, seed=1, threads=1)


def test_a_step_goes_on_from_its_checkpoint_and_scores_what_a_fit_in_one_piece_scores(
    scorer: Scorer, dataset: Dataset, tmp_path: Path
) -> None:
    whole = fit_als(dataset.matrix("training"), TRIAL.params, TRIAL.seed, sweeps=5)
    expected = score_lists(
        scorer, personal_lists(whole, dataset, "training", 30, threads=1), is_whole=True
    )
    run_step(TRIAL, 2, scorer, str(tmp_path))
    with np.load(tmp_path / checkpoint_name(TRIAL.id, 2)) as kept:
        assert kept["sweeps"] == 2
    score = run_step(TRIAL, 5, scorer, str(tmp_path), start=2)
    assert score.metrics == {
        "ndcg@30": pytest.approx(expected.metrics["ndcg@30"], rel=1e-12)
    }
    with np.load(tmp_path / checkpoint_name(TRIAL.id, 5)) as kept:
        assert np.array_equal(kept["item_factors"], whole.item_factors)
        assert kept["fit_s"] == pytest.approx(score.fit_s, abs=0.001)


def test_a_step_that_is_run_again_gives_the_same_and_fits_nothing(
    scorer: Scorer, tmp_path: Path
) -> None:
    """As after the death of a worker that had written its checkpoint and not yet answered."""
    first = run_step(TRIAL, 3, scorer, str(tmp_path))
    again = run_step(TRIAL, 3, scorer, str(tmp_path))
    assert (again.metrics, again.fit_s) == (first.metrics, first.fit_s)


def test_of_what_is_left_at_the_end_every_metric_is_computed_without_another_fit(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its checkpoint is gone, as after the end of a search, there is another fit."""
    partly = run_step(TRIAL, 3, scorer, str(tmp_path))
    run_step(TRIAL, 4, scorer, str(tmp_path), start=3)
    with monkeypatch.context() as patch:
        patch.setattr("recsys.models.factor_models.sweep", None)
        whole = run_step(TRIAL, 3, scorer, str(tmp_path), is_whole=True)
    assert (partly.is_whole, whole.is_whole) == (False, True)
    assert (whole.sweep, whole.fit_s) == (3, partly.fit_s)
    shutil.rmtree(tmp_path / CHECKPOINTS)
    again = run_step(TRIAL, 3, scorer, str(tmp_path), is_whole=True)
    assert again.metrics == whole.metrics


def test_what_is_heard_again_and_what_is_new_are_scored_apart(
    scorer: Scorer, dataset: Dataset, tmp_path: Path
) -> None:
    """Against lists ranked by hand: the tracks heard, and the others, by products of factors."""
    metrics = run_step(TRIAL, 3, scorer, str(tmp_path), is_whole=True).metrics
    heard = dataset.matrix("training").toarray() > 0
    fit = fit_als(dataset.matrix("training"), TRIAL.params, TRIAL.seed, sweeps=3)
    products = fit.user_factors @ fit.item_factors.T
    heldout = pq.read_table(dataset.heldout)
    relevant = np.zeros(heard.shape, np.bool_)
    is_relevant = heldout["time"].to_numpy() >= VALIDATION.min_time
    pairs = heldout.filter(pa.array(is_relevant))
    relevant[pairs["user"].to_numpy(), pairs["track"].to_numpy()] = True
    for segment, pool in (("again", heard), ("new", ~heard)):
        gains = []
        for row in np.flatnonzero((relevant & pool).any(axis=1)):
            order = np.argsort(-products[row], kind="stable")
            best = order[pool[row][order]][:30]
            hits = (relevant & pool)[row]
            discounts = 1 / np.log2(np.arange(2, 32))
            ideal = discounts[: hits.sum()].sum()
            gains.append(discounts[: len(best)][hits[best]].sum() / ideal)
        value = metrics[f"{segment}_ndcg@30"][0]
        assert value == pytest.approx(np.mean(gains), rel=1e-6)


def test_without_its_checkpoint_or_with_one_beyond_the_step_a_fit_begins_anew(
    scorer: Scorer, tmp_path: Path
) -> None:
    expected = run_step(TRIAL, 2, scorer, str(tmp_path / "other")).metrics
    run_step(TRIAL, 4, scorer, str(tmp_path))
    assert run_step(TRIAL, 2, scorer, str(tmp_path)).metrics == expected


def test_what_listeners_add_makes_up_the_metric(scorer: Scorer, tmp_path: Path) -> None:
    score = run_step(TRIAL, 2, scorer, str(tmp_path))
    numerators, denominators = read_listeners(
        open_workspace(tmp_path), scorer, TRIAL, 2
    )
    assert len(numerators) == len(validator_for(scorer).users)
    assert numerators.sum() / denominators.sum() == pytest.approx(
        score.metrics["ndcg@30"][0], abs=1e-12
    )


def test_a_score_whose_listeners_are_gone_is_one_line(
    scorer: Scorer, tmp_path: Path
) -> None:
    with pytest.raises(
        SearchError, match=r"npz: damaged .*; search again, which runs this step again"
    ):
        read_listeners(open_workspace(tmp_path), scorer, TRIAL, 2)


@pytest.mark.parametrize("name", ["popular", "most_played", "latest"])
def test_a_baseline_is_scored_without_a_fit(
    scorer: Scorer, tmp_path: Path, name: str
) -> None:
    score = run_step(BASELINES[name], 0, scorer, str(tmp_path))
    assert score.sweep == 0
    assert (tmp_path / listeners_name(scorer, BASELINES[name], 0)).exists()


def test_factors_that_are_not_finite_leave_no_checkpoint(
    scorer: Scorer, tmp_path: Path
) -> None:
    trial = Trial("nan", "als", AlsParams(4, 1.0, 1e39), 7)
    with pytest.raises(TrialError, match="not finite after sweep 1"):
        run_step(trial, 2, scorer, str(tmp_path))
    assert not (tmp_path / checkpoint_name(trial.id, 2)).exists()


def test_scores_are_comparable_only_by_the_same_data_validation_and_seed(
    scorer: Scorer,
) -> None:
    others = [
        Scorer(f"{scorer.dataset}-other", VALIDATION, 1, 1),
        Scorer(scorer.dataset, VALIDATION.model_copy(update={"min_time": 0.4}), 1, 1),
        Scorer(scorer.dataset, VALIDATION, 2, 1),
    ]
    assert scorer.digest not in {other.digest for other in others}
    assert (
        scorer.digest
        == Scorer(f"moved/{scorer.dataset.rpartition('/')[2]}", VALIDATION, 1, 8).digest
    )
