"""The replay of real experiments, on three streams of the same shape: no test needs the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import asos

LOOKS = 10
# the effect in standard errors at each look
STREAMS = {
    "fades": np.linspace(3.0, 0.5, LOOKS),
    "grows": np.linspace(0.4, 4.0, LOOKS),
    "barely": np.linspace(0.2, 2.0, LOOKS),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    count = 1000.0 * np.arange(1, LOOKS + 1)
    tables = []
    for name, errors in STREAMS.items():
        looks = {"experiment_id": name, "variant_id": 1, "metric_id": 1}
        looks |= {"time_since_start": np.arange(1.0, LOOKS + 1)}
        for arm, mean in (("c", 0.0), ("t", errors * np.sqrt(2 / count))):
            looks |= {f"count_{arm}": count, f"mean_{arm}": mean, f"variance_{arm}": 1}
        tables.append(pd.DataFrame(looks))
    path = tmp_path / "asos.parquet"
    pd.concat(tables).to_parquet(path)
    return path


def test_a_call_counts_from_its_day_on_and_when_a_later_analysis_says_the_same(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    barely, fades, grows = asos.read_streams(file)
    naive = asos.RULES["a single test at every analysis"]
    confirmed = replace(naive, confirmed=True)
    assert naive.call(fades) == 0.1
    assert naive.call(barely) == 1
    assert confirmed.call(barely) == np.inf
    assert confirmed.call(fades) == 0.2
    at_once = asos.RULES["the default, at once"]
    assert at_once.call(replace(fades, errors=np.full(LOOKS, 9.0))) == 0.7
    assert 0.7 < at_once.call(grows) < 1
    jumped = replace(grows, jumps=np.ones(LOOKS, bool))
    assert at_once.call(jumped) == np.inf
    asos.main(file)
    rows = capsys.readouterr().out
    assert (
        "data as it is: 3 streams of 3 experiments, 0 jumps; 2 significant at" in rows
    )
    # exact: both of two, and none of one
    assert "100.0 (16-100)" in rows
    assert "0.0 (0-98)" in rows
