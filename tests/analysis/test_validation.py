"""The validator: its arguments, metrics and intervals. Definitions are in tests/spec."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from analysis.validation import METRICS, Validation, Validator
from looplib.arrays import IntArray

LISTENERS, TRACKS, WIDTH = 120, 80, 12
USERS = np.arange(LISTENERS) * 3 + 5  # ids need not be dense


def random_lists(seed: int) -> IntArray:
    return np.argsort(np.random.default_rng(seed).random((LISTENERS, TRACKS)), axis=1)[
        :, :WIDTH
    ]


RNG = np.random.default_rng(0)
ROWS, HEARD = np.nonzero(RNG.random((LISTENERS, TRACKS)) < 0.2)
HELDOUT = pa.table(
    {
        "user": USERS[ROWS],
        "track": HEARD,
        "time": RNG.random(len(ROWS)),
        "skipped": np.arange(len(ROWS)) % 5 // 4,
    }
)
LEARNED = csr_matrix(RNG.random((USERS[-1] + 1, TRACKS)) < 0.3)
POPULARITY = pa.table(
    {
        "track": np.arange(0, TRACKS, 2),
        "listeners": np.arange(0, TRACKS, 2),
        "artist": np.arange(0, TRACKS, 2) // 8,
    }
)


def build(heldout: pa.Table = HELDOUT, **settings: Any) -> Validator:  # noqa: ANN401  any of Validator's
    chosen: dict[str, Any] = {"ks": (5, 10), "resamples": 200} | settings
    return Validator(
        heldout,
        POPULARITY,
        catalogue_size=TRACKS,
        training_listeners=LISTENERS,
        heard=LEARNED,
        **chosen,
    )


@pytest.fixture(scope="module")
def validator() -> Validator:
    return build()


@pytest.fixture(scope="module")
def validation(validator: Validator) -> Validation:
    return validator.score(USERS, random_lists(1))


def test_every_metric_stands_at_every_cut_off_with_its_interval_around_it(
    validation: Validation,
) -> None:
    assert [*validation.metrics] == [f"{name}@{k}" for name in METRICS for k in (5, 10)]
    assert all(
        metric.lower <= metric.value <= metric.upper
        for metric in validation.metrics.values()
    )
    assert all(ratio.shape == (2, LISTENERS) for ratio in validation.ratios.values())


@pytest.mark.parametrize("name", METRICS)
def test_one_metric_alone_is_as_among_all(
    validator: Validator, validation: Validation, name: str
) -> None:
    key = f"{name}@5"
    alone = validator.score(USERS, random_lists(1), key)
    assert [*alone.metrics] == [key]
    expected = [*validation.metrics[key]]
    assert [*alone.metrics[key]] == pytest.approx(expected, rel=1e-12)
    assert alone.ratios.keys() == validation.ratios.keys() & {key}
    for parts in alone.ratios.values():
        assert np.array_equal(parts, validation.ratios[key])


def test_a_metric_listener_by_listener_makes_up_its_value(
    validation: Validation,
) -> None:
    of_all = {f"{name}@{k}" for name in ("coverage", "gini") for k in (5, 10)}
    assert validation.ratios.keys() == validation.metrics.keys() - of_all
    for key, (numerators, denominators) in validation.ratios.items():
        assert numerators.sum() / denominators.sum() == pytest.approx(
            validation.metrics[key].value, abs=1e-12
        )


def test_order_of_rows_and_lists_and_number_of_threads_do_not_show_in_the_last_digit(
    validation: Validation,
) -> None:
    order = np.random.default_rng(2).permutation(LISTENERS)
    shuffled = HELDOUT.take(np.random.default_rng(3).permutation(HELDOUT.num_rows))
    lists = random_lists(1)
    found = build(shuffled, threads=2, ks=(10, 5)).score(USERS[order], lists[order])
    assert found == validation
    assert build(seed=1).score(USERS, lists) != validation, "other resamples"


def test_coverage_is_a_fact_of_the_lists_without_an_interval() -> None:
    lists = np.tile(np.arange(5), (LISTENERS, 1))
    found = build(ks=[5]).score(USERS, lists).metrics["coverage@5"]
    assert [*found] == [5 / TRACKS] * 3


def test_threads_may_share_a_validator(validator: Validator) -> None:
    lists = [random_lists(seed) for seed in range(8)]
    score = partial(validator.score, USERS)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(score, lists)] == [*map(score, lists)]
