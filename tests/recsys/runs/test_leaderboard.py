"""The leaderboard's order and its certainty, against plain Python on listeners that are made up."""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from looplib.arrays import FloatArray
from looplib.randomness import make_generator
from recsys.config import Search, Space
from recsys.search.leaderboard import leaderboard_rows, leaderboard_table, remarks
from recsys.search.ledger import Score, Scores, Stop
from recsys.search.leaderboard import RankedTrial, compare, differences, rank
from recsys.search.trials import Trial, plan_baselines, plan_candidates

METRIC = "hit_time@30"
LISTENERS = 400
RESAMPLES = 200
Shares = Mapping[tuple[str, int], FloatArray]


BASELINES = plan_baselines(1)[:2]


@pytest.fixture
def candidates() -> tuple[Trial, ...]:
    """Of 32, 16 and 8 factors."""
    return plan_candidates(Search(space=Space(factors=(8, 16, 32))), "data", seed=1)


def shares_of(
    candidates: tuple[Trial, ...], means: Mapping[int, tuple[float, ...]]
) -> Shares:
    """What listeners add, by entry and sweep: listeners differ much, models by their means alone,
    and some noise."""
    generator = np.random.default_rng(3)
    base = generator.random(LISTENERS)
    shares = {}
    for factors, values in means.items():
        trial = next(trial for trial in candidates if trial.params.factors == factors)
        for sweep, mean in enumerate(values, start=1):
            numerators = base + mean + 0.02 * generator.standard_normal(LISTENERS)
            shares[trial.id, sweep] = np.stack([numerators, np.ones(LISTENERS)])
    for number, name in enumerate(("most_played", "popular")):
        shares[name, 0] = np.stack([base / (5 + number), np.ones(LISTENERS)])
    return shares


def scores_of(
    candidates: tuple[Trial, ...], shares: Shares
) -> dict[str, tuple[Score, ...]]:
    scores: dict[str, tuple[Score, ...]] = {
        trial.id: () for trial in (*candidates, *BASELINES)
    }
    for (key, sweep), (numerators, denominators) in shares.items():
        value = float(numerators.sum() / denominators.sum())
        metrics = dict.fromkeys(
            (METRIC, "recall@30", "coverage@30"), (value, value - 0.1, value + 0.1)
        )
        scores[key] = (*scores[key], Score(sweep, metrics, 1.0))
    return scores


def ranked(
    candidates: tuple[Trial, ...], stopped: Mapping[str, Stop], scores: Scores
) -> list[RankedTrial]:
    return rank((*candidates, *BASELINES), stopped, scores, METRIC)


def listeners(shares: Shares) -> Callable[[Trial, int], FloatArray]:
    return lambda trial, sweep: shares[trial.id, sweep]


def compared(ranking: list[RankedTrial], shares: Shares) -> list[RankedTrial]:
    return compare(ranking, ranking[0], listeners(shares), RESAMPLES, seed=5)


def test_the_best_scored_sweep_counts_and_those_without_a_score_come_last(
    candidates: tuple[Trial, ...],
) -> None:
    scores = scores_of(
        candidates, shares_of(candidates, {32: (0.5, 0.7, 0.6), 16: (0.8, 0.8)})
    )
    scores[candidates[2].id] = (Score(1, error="NaN"),)
    ranking = ranked(candidates, {candidates[0].id: Stop(3, "enough")}, scores)
    assert [getattr(row.trial.params, "factors", row.trial.id) for row in ranking] == [
        16,
        32,
        *sorted(trial.id for trial in BASELINES),
        8,
    ]
    assert [row.sweep for row in ranking] == [ranking[0].sweep, 2, 0, 0, 0]
    assert [row.state for row in ranking] == [
        "scored",
        "pruned",
        *["scored"] * len(BASELINES),
        "failed",
    ]
    assert [row.stop.reason if row.stop else None for row in ranking] == [
        None,
        "enough",
        *[None] * len(BASELINES),
        "NaN",
    ]


def test_a_difference_is_that_of_the_paired_resamples_at_once_for_all_pairs(
    candidates: tuple[Trial, ...],
) -> None:
    """Against max-T written out: the same listeners drawn for all, the largest difference in
    standard errors."""
    shares = shares_of(candidates, {32: (0.5,), 16: (0.45,), 8: (0.2,)})
    ranking = compared(ranked(candidates, {}, scores_of(candidates, shares)), shares)
    models = [shares[row.trial.id, row.sweep] for row in ranking]
    drawn = [
        make_generator(5, "bootstrap", number).integers(0, LISTENERS, size=LISTENERS)
        for number in range(RESAMPLES)
    ]
    noise = np.array(
        [[part[0, rows].mean() - part[0].mean() for part in models] for rows in drawn]
    )
    pairs = list(combinations(range(len(models)), 2))
    errors = {
        (i, j): (models[i][0] - models[j][0]).std() / np.sqrt(LISTENERS)
        for i, j in pairs
    }
    varying = [
        np.abs(noise[:, i] - noise[:, j]) / errors[i, j]
        for i, j in pairs
        if errors[i, j] > 1e-9
    ]
    rank = int(np.ceil(0.95 * RESAMPLES + np.sqrt(0.95 * 0.05 * RESAMPLES)))
    critical = stats.t.isf(
        stats.norm.sf(np.sort(np.max(varying, axis=0))[rank - 1]), LISTENERS - 1
    )
    error = critical * errors[0, 1]
    value = models[1][0].mean() - models[0][0].mean()
    assert ranking[1].behind == pytest.approx(
        (value, value - error, value + error), abs=1e-9
    )
    assert ranking[0].behind == (0, 0, 0)


def test_pairs_tell_apart_what_overlapping_intervals_do_not(
    candidates: tuple[Trial, ...],
) -> None:
    """Listeners differ by 0.3, the models by 0.01: the intervals overlap, the paired difference is
    certain."""
    shares = shares_of(candidates, {32: (0.51,), 16: (0.50,), 8: (0.509,)})
    first, *others = compared(
        ranked(candidates, {}, scores_of(candidates, shares)), shares
    )
    ties = {
        row.trial.params.factors: row.ties
        for row in others
        if not row.trial.is_baseline
    }
    assert first.ties
    assert ties[16] is False
    width = 2 * 1.96 * shares[first.trial.id, 1][0].std() / np.sqrt(LISTENERS)
    assert width > 3 * 0.01


@pytest.mark.parametrize(("models", "searches", "most"), [(12, 100, 9), (36, 40, 4)])
def test_of_equal_models_any_is_called_worse_in_one_search_of_twenty(
    models: int, searches: int, most: int
) -> None:
    """And the winner is called better than one of them, a baseline, in one of forty."""
    wrong, published = 0, np.zeros(2)
    for search in range(searches):
        generator = make_generator(7, "equal models", search)
        taste = generator.gamma(1.0, size=200)
        parts = np.ones((models, 2, 200))
        parts[:, 0] = taste + 0.5 * generator.standard_normal((models, 200))
        best = int(parts[1:, 0].mean(axis=1).argmax()) + 1
        behind = differences(parts, best, 200, seed=5)
        wrong += any(upper < 0 for _, _, upper in behind)
        test = parts[[best, 0]]
        test[:, 0] = taste + 0.5 * generator.standard_normal((2, 200))
        on_test = differences(test, 0, 200, seed=5)[1]
        published += [behind[0][2] < 0, on_test[2] < 0]
    # 5 % and 2.5 %, and two standard errors of these counts
    assert wrong <= most
    assert (published <= most * 2 / 3).all()


def test_equal_models_are_reported_as_noise(candidates: tuple[Trial, ...]) -> None:
    shares = shares_of(candidates, {32: (0.5,), 16: (0.5,), 8: (0.5,)})
    ranking = compared(ranked(candidates, {}, scores_of(candidates, shares)), shares)
    assert [row.ties for row in ranking] == [True] * 3 + [False] * len(BASELINES)
    (said,) = remarks(ranking, ranking[0], METRIC, Search(widen=True))
    assert said.startswith("Tied with the best: 2 of the 2 candidates")


def test_the_leaderboard_says_what_was_stopped_when_and_why(
    candidates: tuple[Trial, ...],
) -> None:
    shares = shares_of(candidates, {32: (0.5, 0.6), 16: (0.4,)})
    scores = scores_of(candidates, shares)
    stopped = {trial.id: Stop(1, "rung") for trial in candidates[1:3]}
    ranking = compared(ranked(candidates, stopped, scores), shares)
    rows = {row["factors"]: row for row in leaderboard_rows(ranking)}
    found = {
        factors: (rows[factors]["state"], rows[factors]["stopped_at"])
        for factors in (32, 16, 8)
    }
    assert found == {32: ("scored", None), 16: ("pruned", 1), 8: ("pruned", 1)}
    assert rows[16]["why"] == "rung"
    assert rows[16]["behind"] < rows[16]["behind upper"] < 0
    assert (rows[32]["ties"], rows[16]["ties"], rows[8]["ties"]) == (True, False, None)
    printed = leaderboard_table(leaderboard_rows(ranking), METRIC)
    cells = [str(cell) for cell in printed.columns[-1].cells]
    assert cells == ["", "pruned at 1", *[""] * len(BASELINES), "pruned at 1"]


@pytest.mark.parametrize(("best", "is_edge"), [(32, True), (8, True), (16, False)])
def test_a_winner_at_the_edge_of_an_axis_is_reported(
    candidates: tuple[Trial, ...], best: int, is_edge: bool
) -> None:
    shares = shares_of(candidates, dict.fromkeys((8, 16, 32), (0.2,)) | {best: (0.6,)})
    ranking = compared(ranked(candidates, {}, scores_of(candidates, shares)), shares)
    search = Search(space=Space(factors=(8, 16, 32)))
    said = " ".join(remarks(ranking, ranking[0], METRIC, search))
    assert ("widen search.space.factors" in said) == is_edge
    widened = search.model_copy(update={"widen": True})
    said = " ".join(remarks(ranking, ranking[0], METRIC, widened))
    assert "search.space.factors" not in said
