"""The leaderboard's order and its certainty, against plain Python on listeners that are made up."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.effects import Interval
from looplib.arrays import FloatArray
from looplib.randomness import make_generator
from recsys.models.registry import read_models
from recsys.models.trial import Checkpoint
from recsys.search.comparison import cross_fit, differences, leads
from recsys.search.leaderboard import (
    BEHIND,
    Leaderboard,
    explain_winner,
    print_rows,
    rank,
)
from recsys.search.ledger import Score, Scores
from recsys.search.trials import plan_baselines, plan_trials

METRIC = "hit_time@30"
LISTENERS = 400
RESAMPLES = 200
Shares = Mapping[tuple[str, int], FloatArray]
BASELINES = plan_baselines(1)[:2]
ALS = read_models({"als": {"factors": [8, 16, 32]}})
CANDIDATES = plan_trials(ALS, "data", seed=1)  # of 32, 16 and 8 factors


def shares_of(means: Mapping[int, tuple[float, ...]]) -> Shares:
    """What listeners add, by trial and iteration: listeners differ much, models by their means
    alone, and some noise."""
    generator = np.random.default_rng(3)
    base = generator.random(LISTENERS)
    trials = {trial.params["factors"]: trial.id for trial in CANDIDATES}
    shares = {}
    for factors, values in means.items():
        for iteration, mean in enumerate(values, start=1):
            numerators = base + mean + 0.02 * generator.standard_normal(LISTENERS)
            parts = np.stack([numerators, np.ones(LISTENERS)])
            shares[trials[factors], iteration] = parts
    for number, name in enumerate(("most_played", "popular")):
        shares[name, 0] = np.stack([base / (5 + number), np.ones(LISTENERS)])
    return shares


def scores_of(shares: Shares) -> dict[str, tuple[Score, ...]]:
    trials = {trial.id: trial for trial in (*CANDIDATES, *BASELINES)}
    scores: dict[str, tuple[Score, ...]] = dict.fromkeys(trials, ())
    for (key, iteration), (numerators, denominators) in shares.items():
        value = float(numerators.sum() / denominators.sum())
        metrics = dict.fromkeys(
            (METRIC, "recall@30", "coverage@30"),
            Interval(value, value - 0.1, value + 0.1),
        )
        score = Score(trials[key], iteration, "scorer", metrics, 1.0)
        scores[key] = (*scores[key], score)
    return scores


def ranked(scores: Scores, stopped: Mapping[str, int] | None = None) -> Leaderboard:
    return rank((*CANDIDATES, *BASELINES), stopped or {}, scores, METRIC)


def compared(shares: Shares, stopped: Mapping[str, int] | None = None) -> Leaderboard:
    def compare(steps: Sequence[Checkpoint], best: int) -> list[Interval]:
        parts = np.stack([shares[step.trial.id, step.iteration] for step in steps])
        return differences(parts, best, RESAMPLES, seed=5)

    return ranked(scores_of(shares), stopped).compare(compare)


def test_the_best_scored_iteration_counts_and_those_without_a_score_come_last() -> None:
    scores = scores_of(shares_of({32: (0.5, 0.7, 0.6), 16: (0.8, 0.8)}))
    broken = CANDIDATES[2]
    scores[broken.id] = (Score(broken, 1, "scorer", error="NaN"),)
    entries = ranked(scores, {CANDIDATES[0].id: 3}).entries
    names = [entry.trial.params.get("factors", entry.trial.id) for entry in entries]
    baselines = sorted(trial.id for trial in BASELINES)
    assert names == [16, 32, *baselines, 8]
    assert [entry.score.iteration for entry in entries] == [2, 2, 0, 0, 0]
    assert [(entry.state, entry.why) for entry in entries] == [
        ("scored", None),
        ("pruned", BEHIND),
        *[("scored", None)] * len(BASELINES),
        ("failed", "NaN"),
    ]


def test_a_difference_is_that_of_the_paired_resamples_at_once_for_all_pairs() -> None:
    """Against max-T written out: the same listeners drawn for all, the largest difference in
    standard errors."""
    shares = shares_of({32: (0.5,), 16: (0.45,), 8: (0.2,)})
    ranking = compared(shares).entries
    models = [shares[entry.trial.id, entry.score.iteration] for entry in ranking]
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
    assert ranking[1].behind
    assert [*ranking[1].behind] == pytest.approx(
        (value, value - error, value + error), abs=1e-9
    )
    assert ranking[0].behind == Interval(0, 0, 0)


@pytest.mark.parametrize(("models", "searches", "most"), [(12, 100, 9), (36, 40, 4)])
def test_of_equal_models_any_is_called_worse_in_one_search_of_twenty(
    models: int, searches: int, most: int
) -> None:
    """And the winner is called better than one of them, a baseline, no more often."""
    wrong = published = 0
    for search in range(searches):
        generator = make_generator(7, "equal models", search)
        taste = generator.gamma(1.0, size=200)
        parts = np.ones((models, 2, 200))
        parts[:, 0] = taste + 0.5 * generator.standard_normal((models, 200))
        best = int(parts[1:, 0].mean(axis=1).argmax()) + 1
        behind = differences(parts, best, 200, seed=5)
        wrong += any(upper < 0 for _, _, upper in behind)
        chosen = cross_fit(parts[1:], 2, seed=search)
        published += leads(np.stack([chosen, parts[0]]))[0].upper < 0
    # 5 %, and two standard errors of these counts
    assert wrong <= most
    assert published <= most


def test_a_model_that_is_better_by_a_tenth_is_better_than_four_rules_in_most_searches() -> (
    None
):
    published = 0
    for search in range(40):
        generator = make_generator(8, "better model", search)
        parts = np.ones((8, 2, 3000))
        parts[:, 0] = generator.gamma(1.0, size=(8, 3000))
        parts[:4, 0] *= 1.1
        chosen = cross_fit(parts[:4], 2, seed=search)
        behind = leads(np.stack([chosen, *parts[4:]]))
        published += all(upper < 0 for _, _, upper in behind)
    assert published >= 20


def test_equal_models_are_reported_as_noise() -> None:
    board = compared(shares_of({32: (0.5,), 16: (0.5,), 8: (0.5,)}))
    ties = [entry.ties for entry in board.entries]
    assert ties == [True] * 3 + [False] * len(BASELINES)
    (text,) = explain_winner(board, may_expand=True)
    assert text.startswith("Tied with the best: 2 of the 2 candidates")


def test_the_leaderboard_says_what_was_stopped_when_and_why() -> None:
    stopped = {trial.id: 1 for trial in CANDIDATES[1:3]}
    board = compared(shares_of({32: (0.5, 0.6), 16: (0.4,)}), stopped).rows()
    rows = {row["factors"]: row for row in board if row["model"] == "als"}
    states = {
        factors: (row["state"], row["stopped_at"]) for factors, row in rows.items()
    }
    assert states == {32: ("scored", None), 16: ("pruned", 1), 8: ("pruned", 1)}
    assert rows[16]["why"] == BEHIND
    assert rows[16]["behind"] < rows[16]["behind upper"] < 0
    assert (rows[32]["ties"], rows[16]["ties"], rows[8]["ties"]) == (True, False, None)
    printed = print_rows(board, METRIC)
    assert f"By {METRIC} over all tracks" in str(printed.caption)
    versus = [str(cell) for cell in printed.columns[4].cells]
    assert versus[:2] == ["best", ""]
    cells = [str(cell) for cell in printed.columns[-1].cells]
    assert cells == ["", "pruned at 1", *[""] * len(BASELINES), "pruned at 1"]


@pytest.mark.parametrize(("best", "is_edge"), [(32, True), (8, True), (16, False)])
def test_a_winner_at_the_edge_of_an_axis_is_reported(best: int, is_edge: bool) -> None:
    means = dict.fromkeys((8, 16, 32), (0.2,)) | {best: (0.6,)}
    board = compared(shares_of(means))
    for may_expand in (False, True):
        said = " ".join(explain_winner(board, may_expand=may_expand))
        is_named = is_edge and not may_expand
        assert ("go beyond models.als.factors" in said) == is_named
