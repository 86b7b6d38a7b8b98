"""The replay of real experiments, on three streams of the same shape: no test needs the data."""

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


def test_stops_are_in_parts_of_the_experiment_and_go_on_beyond_its_end(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    barely, fades, grows = asos.read_streams(file)
    assert [s.is_significant for s in (barely, fades, grows)] == [True, False, True]
    rules = asos.RULES
    naive, default = (rules[name] for name in list(rules)[:2])
    assert fades.stop(naive) == 0.1
    assert barely.stop(naive) == 1
    assert fades.stop(default) > 10
    assert 0.7 < grows.stop(default) < 1
    # three standard errors instead of two take nine quarters of the listeners, and some more
    assert 2.2 < barely.stop(default) < 3
    asos.main(file)
    rows = capsys.readouterr().out
    assert "3 streams, 2 significant at their last analysis" in rows
    assert "100.0%" in rows
