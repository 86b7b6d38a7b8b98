"""Reports on tables: rows, moments and logs say the same, and what is wrong is said in one line."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import orjson
import pandas as pd
import pytest
import sqlglot

import listening_loop as ll
from analysis.ab.report import Report
from tests.conftest import Run
from tests.spec.test_ab_situations import Change, spoil

METRICS: dict[str, Literal["higher", "lower"]] = {
    "minutes": "higher",
    "minutes / plays": "lower",
}
GUARDRAILS = {"ms": 20.0}
FIXED_HORIZON = {"listeners": 900}
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]


@pytest.fixture(scope="module")
def listeners() -> pd.DataFrame:
    generator = np.random.default_rng(5)
    arm = np.array(["C", "T1", "T2"])[np.arange(900) % 3]
    plays = generator.poisson(4, size=900) + 1.0
    minutes = (
        plays * generator.lognormal(1.0, 1.0, size=900) * (1 + 0.3 * (arm == "T2"))
    )
    # a large mean beside a small variance
    ms = 1e3 + generator.gamma(3.0, size=900)
    return pd.DataFrame({"arm": arm, "minutes": minutes, "plays": plays, "ms": ms})


def aggregates(listeners: pd.DataFrame) -> list[dict[str, Any]]:
    """The same by arm, day and metric, by NumPy; a quarter of the listeners arrives each day."""
    rows = []
    for number, day in enumerate(DAYS, start=1):
        so_far = listeners.head(len(listeners) * number // len(DAYS))
        for arm, mine in so_far.groupby("arm"):
            for metric in ("minutes", "minutes / plays", "ms"):
                top = mine[metric.partition(" ")[0]].to_numpy()
                row: dict[str, Any] = {"arm": arm, "time": day, "metric": metric}
                row |= {"count": len(mine), "mean": top.mean()}
                row |= {"variance": top.var(ddof=1)}
                if metric == "minutes / plays":
                    plays = mine["plays"].to_numpy()
                    row["denominator_mean"] = plays.mean()
                    row["denominator_variance"] = plays.var(ddof=1)
                    row["covariance"] = np.cov(top, plays)[0, 1]
                rows.append(row)
    return rows


def flat(report: Report) -> dict[str, object]:
    """What a report says, value by value, but for its source and the times of aggregates."""
    found = {}

    def walk(name: str, value: object) -> None:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if not isinstance(value, dict):
            found[name] = value
            return
        for key, child in value.items():
            if key not in ("sources", "experiment", "span_ms", "by_day", "novelty"):
                walk(f"{name}.{key}", child)

    walk("", json.loads(orjson.dumps(report.to_json())))
    return found


def nearly(values: dict[str, object]) -> dict[str, object]:
    return {
        key: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        for key, value in values.items()
    }


def test_rows_and_moments_from_anywhere_give_the_same_report(
    listeners: pd.DataFrame, tmp_path: Path
) -> None:
    def compare(data: Any, connection: Any = None) -> dict[str, object]:  # noqa: ANN401
        report = ll.ab(
            data,
            connection=connection,
            metrics=METRICS,
            guardrails=GUARDRAILS,
            fixed_horizon=FIXED_HORIZON,
            min_days=1,
        )
        return flat(report.report)

    of_rows = nearly(compare(listeners))
    parquet = tmp_path / "listeners.parquet"
    listeners.to_parquet(parquet)
    moments = pd.DataFrame(aggregates(listeners))
    with duckdb.connect() as duck:
        duck.from_df(listeners).create("listeners")
        assert compare(parquet) == of_rows
        assert compare("FROM listeners", duck) == of_rows
        assert compare(moments) == of_rows
        assert not duck.sql(
            "SELECT * FROM duckdb_views() WHERE NOT internal"
        ).fetchall()


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "postgres", "duckdb"])
@pytest.mark.parametrize("listener", [None, "user id"])
def test_the_statement_for_a_warehouse_makes_aggregates_with_the_report_of_the_rows(
    listeners: pd.DataFrame,
    tmp_path: Path,
    printed: Run,
    dialect: str,
    listener: str | None,
) -> None:
    rows = listeners.assign(**{"user id": np.arange(900) % 300})  # a hundred an arm
    plan = tmp_path / "experiment.yaml"
    arms = [{"recommender": "random"}] * 3
    plan.write_text(json.dumps({"name": "A", "arms": arms, "metrics": [*METRICS]}))
    argv = ["--sql=SELECT * FROM rows", f"--experiment={plan}", "--print-sql"]
    argv += [f"--dialect={dialect}", *([f"--listener={listener}"] if listener else [])]
    (statement,) = sqlglot.transpile(printed("ab", *argv), dialect, "duckdb")
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        moments = connection.execute(statement).df()
    options: Any = {"metrics": [*METRICS], "min_listeners": 50}
    expected = flat(ll.ab(rows, listener=listener, **options).report)
    assert flat(ll.ab(moments, **options).report) == nearly(expected)


def test_the_effect_by_day_is_that_of_the_table_until_then(
    listeners: pd.DataFrame,
) -> None:
    rows = pd.DataFrame(aggregates(listeners))
    options: Any = {"metrics": METRICS, "expected_listeners": 900, "min_days": 1}
    by_day = ll.ab(rows, **options).report.evidence.by_day
    assert [row.day for row in by_day[::4]] == DAYS
    for number, day in enumerate(DAYS):
        until = ll.ab(rows[rows["time"] <= day], **options)
        assert [
            replace(row, day="") for row in by_day[4 * number : 4 * number + 4]
        ] == [*until.report.evidence.effects]


OF_T1 = "arm == 'T1' and metric == 'minutes'"
SECOND = f"{OF_T1} and time == '2026-01-02'"


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (
            partial(spoil, where=SECOND, variance=-0.5),
            "metric minutes, arm T1, time 2026-01-02: variance -0.5; a number of at least 0",
        ),
        (
            partial(spoil, where=f"{OF_T1} and time == '2026-01-04'", variance=np.nan),
            "arm T1, time 2026-01-04: variance missing; a number of at least 0",
        ),
        (
            partial(spoil, where=SECOND, count=99.5),
            "time 2026-01-02: count 99.5, mean .*; a whole number",
        ),
        (
            partial(spoil, where=SECOND, count=60),
            "arm T1, time 2026-01-02: count 60 after 75 at 2026-01-01; counts are of all",
        ),
        (
            partial(
                spoil,
                where=SECOND.replace("minutes", "minutes / plays"),
                denominator_mean=np.nan,
            ),
            "time 2026-01-02: a ratio has .*; here they are \\[NULL, ",
        ),
        (
            lambda rows: rows.query(f"not ({SECOND})"),
            "metric minutes, arm T1: no row for 2026-01-02, which C, T2 has",
        ),
        (
            lambda rows: rows.assign(
                arm=rows["arm"].mask(
                    (rows["arm"] == "T1") & (rows["time"] > DAYS[1]), "B"
                )
            ),
            "arm B: no row for 2026-01-01, which C, T1, T2 has",
        ),
        (lambda rows: rows[:0], "no rows of metric minutes.*; found are none"),
        (
            lambda rows: rows.replace({"time": {DAYS[1]: "02/01/26"}}),
            "time 02/01/26: a date such as 2026-11-30 or a number",
        ),
        (
            lambda rows: pd.concat([rows, rows.tail(1)]),
            "metric ms, arm T2, time 2026-01-04: 2 rows; one is expected",
        ),
        (
            lambda rows: rows.query("metric != 'ms'"),
            "no rows of metric ms; found are minutes, minutes / plays",
        ),
    ],
)
def test_aggregates_that_cannot_be_are_refused_in_one_line(
    listeners: pd.DataFrame,
    spoiled: Change,
    message: str,
) -> None:
    rows = spoiled(pd.DataFrame(aggregates(listeners)))
    with pytest.raises(ll.Error, match=message) as caught:
        ll.ab(rows, metrics=METRICS, guardrails=GUARDRAILS)
    assert "\n" not in str(caught.value)


def test_checkpoints_in_parts_of_days_may_be_missing_and_so_may_early_variances(
    listeners: pd.DataFrame,
) -> None:
    rows = pd.DataFrame(aggregates(listeners))
    rows = spoil(rows, "time == '2026-01-01'", variance=np.nan)
    rows = rows.query("time != '2026-01-02'")
    rows["time"] = rows["time"].map({day: 0.5 * n for n, day in enumerate(DAYS)})
    found = ll.ab(rows, metrics=METRICS, guardrails=GUARDRAILS)
    assert list(found.report.evidence.listeners.values()) == [300, 300, 300]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "the query: .*syntax error"),
        (
            "CREATE TABLE made (a INTEGER)",
            "the query: (it returns no rows|.*not found)",
        ),
        ("SELECT 'C' AS arm, 'x' AS minutes", "the query: .*x"),
        ("SELECT 1 AS other", 'the query: .*"arm" not found in FROM clause! .*"other"'),
    ],
)
def test_a_query_that_fails_is_said_in_one_line(sql: str, message: str) -> None:
    with duckdb.connect() as duck, pytest.raises(ll.Error, match=message) as caught:
        ll.ab(sql, connection=duck, metrics=["minutes"])
    assert "\n" not in str(caught.value)


def test_a_win_on_the_first_day_of_aggregates_waits_for_the_next() -> None:
    moments = {"count": [500, 500], "mean": [1.0, 2.2], "variance": [1.0, 1.0]}
    rows = {"arm": ["C", "T1"], "metric": "plays", "time": "2026-01-01", **moments}
    report = ll.ab(pd.DataFrame(rows), metrics="plays", min_days=1)
    assert (report.verdict.decision, report.verdict.reason) == ("wait", "unconfirmed")


def test_another_database_s_rows_come_as_a_data_frame() -> None:
    problem = "DuckDB's is expected, not Connection; or pass a data frame"
    with (
        closing(sqlite3.connect(":memory:")) as lite,
        pytest.raises(ll.Error, match=problem),
    ):
        ll.ab("SELECT 1", connection=lite, metrics=["minutes"])  # type: ignore[arg-type]  # refused


def test_the_command_reports_on_a_table_without_an_experiment_s_file(
    listeners: pd.DataFrame, tmp_path: Path, printed: Run, refusal: Run
) -> None:
    file = tmp_path / "listeners.CSV"
    argv = ["ab", str(file), "--metric=minutes"]
    listeners.replace({"C": "control"}).to_csv(file)
    assert "or on the command line --metric minutes" in refusal("ab", str(file))
    for named in ([], ["--set=control=T1"]):
        assert ("T1   minutes" in printed(*argv, *named)) != bool(named)
    listeners.replace({"C": "old"}).to_csv(file)
    advice = "found are T1, T2, old; or name the control: --set \"control='T1'\""
    assert advice in refusal(*argv)
    assert "T1   minutes" in printed(*argv, "--set=control=old")
    listeners.assign(arm=listeners.index % 2).to_csv(file)
    assert "1    minutes" in printed(*argv, "--set=control=0")


def test_days_and_months_of_a_csv_file_are_not_guessed(
    listeners: pd.DataFrame, tmp_path: Path, refusal: Run
) -> None:
    rows = pd.DataFrame(aggregates(listeners)).assign(time="02/01/2026")
    rows.to_csv(file := tmp_path / "days.tsv", sep="\t")
    assert "time 02/01/2026: a date" in refusal("ab", file, "--metric=minutes")


def test_the_command_reports_on_a_table_by_the_experiment_s_file(
    listeners: pd.DataFrame, tmp_path: Path, printed: Run, refusal: Run
) -> None:
    parquet, plan = tmp_path / "listeners.parquet", tmp_path / "experiment.yaml"
    listeners.to_parquet(parquet)
    csv = tmp_path / "listeners.csv"
    listeners.to_csv(csv)
    plan.write_text(
        """
name: RANKING
hypothesis: lists are heard longer
arms: [{recommender: top_pop}, {recommender: sticky_artist}, {recommender: in_order}]
metrics: [minutes]
lower_is_better: [ms]
guardrails: [{metric: ms, margin_pct: 20}]
planned_listeners: 900
""",
        encoding="utf-8",
    )
    argv = ["ab", f"--experiment={plan}", f"--out={tmp_path}/out"]
    for source in (parquet, csv, f"--sql=FROM '{parquet}'"):
        assert "Ship T2" in printed(*argv, source)
        report = json.loads((tmp_path / "out" / "report.json").read_bytes())
        assert report["experiment"] == "RANKING"
        assert report["recommenders"]["T2"] == "in_order"
        assert report["is_final"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "lists are heard longer" in page
    assert " events, " not in page
    assert f"error: {csv}.csv: IO Error: No files found" in refusal(*argv, f"{csv}.csv")
    assert "error: the query: Parser Error" in refusal(*argv, "--sql=SELEC")
    assert "name logs or stores, or a single table" in refusal(*argv)
