"""The command `listening-loop ab`, and what it refuses in one line."""

import json
from pathlib import Path

import pytest

from analysis.ab.config import AbConfig
from analysis.ab.report import build_report
from analysis.errors import AnalysisError
from looplib.config import load_config
from recsys.ingest.pipeline import ingest
from tests.analysis.ab.logs import START_MS, event, experiment, write
from tests.conftest import Run
from tests.recsys.tables import ingest_tables, write_csv

CONFIG = AbConfig()


@pytest.mark.parametrize(
    ("content", "experiment", "control", "words"),
    [
        (experiment(), "NONE", "C", "NONE.* AA, ALS"),
        (experiment(), "", "C", "none is named.*AA, ALS; name one"),
        (experiment(), "ALS", "X", "X and another arm.*C, T1"),
        (experiment(arms=("C",)), "ALS", "C", "another arm are expected; found are C$"),
        (
            [event(1, START_MS) | {"experiments": {}}],
            "ALS",
            "C",
            "ALS is named, and events have no experiment",
        ),
        ([{"message": "next"}], "ALS", "C", r"no event.*a\.jsonl:1.*timestamp"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    tmp_path: Path,
    content: list[dict[str, object]],
    experiment: str,
    control: str,
    words: str,
) -> None:
    log = write(tmp_path / "a.jsonl", content)
    # a dot matches no end of a line
    with pytest.raises(AnalysisError, match=f"^.*{words}.*$"):
        build_report([log], experiment, AbConfig(control=control))


def test_a_store_of_interactions_is_refused(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [{"user": 1, "item": 2}])
    ingest_tables(tmp_path, file, columns="user=user,item=item")
    with pytest.raises(
        AnalysisError, match="its plays come from tables, which have no requests"
    ):
        build_report([tmp_path / "store"], "ALS", CONFIG)


def test_damaged_rejects_of_a_store_are_said(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", experiment(), more=b"garbage\n")
    ingest([log], tmp_path / "store", partitions=1)
    (rejects,) = (tmp_path / "store" / "rejects").iterdir()
    rejects.write_bytes(b"{")
    with pytest.raises(AnalysisError, match=r"\.jsonl: damaged"):
        build_report([tmp_path / "store"], "ALS", CONFIG)


def test_the_shipped_configuration_is_the_default_one() -> None:
    assert load_config(AbConfig, Path("configs/ab.yaml")) == AbConfig()


def test_the_command_writes_the_report_and_prints_the_table(
    log: Path, tmp_path: Path, printed: Run
) -> None:
    settings = ("power=0.9", "min_listeners=20", "min_days=1", "expected_listeners=60")
    words = [f"--set={setting}" for setting in (*settings, "guardrails=[]")]
    words += ["--experiment=ALS", f"--out={tmp_path}/out"]
    text = printed("ab", log, *words)
    assert "mean_time_per_session" in text
    assert len(text.splitlines()) <= 25
    assert "ALS: Ship T1" in text.splitlines()[-2]
    document = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert document["verdict"]["decision"] == "ship"
    assert 'data-decision="ship"' in (tmp_path / "out" / "report.html").read_text(
        encoding="utf-8"
    )
    assert load_config(AbConfig, tmp_path / "out" / "config.yaml").power == 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sql", "SELECT 1"], "or --sql alone"),
        (["a.parquet"], "or a single table"),
        (["--print-sql", "--set=guardrails=[]"], "--print-sql needs --sql"),
        (["--dialect=oracle"], "not one of 'snowflake', 'bigquery', 'postgres', 'du"),
        (["--set=metrics.a=a.sql"], "a.sql: cannot be read"),
        (["--experiment=ALS", "--set=primary=[tim]"], "the nearest is time"),
        (
            ["--experiment=ALS", "--set=primary=[latency_p50]", "--set=guardrails=[]"],
            "has no value by listener",
        ),
    ],
)
def test_a_wrong_command_says_so_in_one_line_and_leaves_nothing(
    log: Path, tmp_path: Path, refusal: Run, options: list[str], words: str
) -> None:
    assert words in refusal("ab", log, *options, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
