"""The outcome of a day: each arm's effect, over the control and over the best simple arm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from analysis.ab.config import AbConfig
from analysis.ab.report import build_report
from analysis.page import numbers

METRIC = "mean_time_per_session"
_SIMPLE = frozenset({"random", "top_pop", "sticky_artist", "indexed", "in_order"})
Document = dict[str, Any]


def read_outcome(number: int, day: Path) -> Document:
    """Read the outcome of a day from its folder, as it stands in `loop.json`.

    Returns:
        The day's number and verdict; its arms, the control first, with their mean listening time of
        a session and its effects in %, over the control and over the best simple arm, each with a
        95 % interval for one look; and the predictions of the first day.
    """
    report = orjson.loads((day / "report" / "report.json").read_bytes())
    control, recommenders = report["control"], report["recommenders"]
    rows = [row for row in report["effects"] if row["metric"] == METRIC]
    means = {control: rows[0]["control_value"]}
    means |= {row["arm"]: row["arm_value"] for row in rows}

    simple = [arm for arm in means if recommenders[arm] in _SIMPLE]
    best = max(simple, key=lambda arm: means[arm], default=None)
    effects, over_simple = _effects(rows), {}
    if best is not None:
        config = AbConfig(
            control=best, primary=(METRIC,), secondary=(), diagnostics=(), guardrails=()
        )
        against = build_report([day / "log"], report["experiment"], config)
        over_simple = _effects(orjson.loads(against.to_json())["effects"])
    arms = [
        {
            "arm": arm,
            "recommender": recommenders[arm] or "",
            "listeners": report["listeners"][arm],
            "mean": mean,
            "effect_pct": effects.get(arm),
            "over_simple_pct": over_simple.get(arm),
        }
        for arm, mean in means.items()
    ]
    predictions = day / "predictions.json"
    found = orjson.loads(predictions.read_bytes()) if predictions.exists() else {}
    return {
        "day": number,
        "decision": report["verdict"]["decision"],
        "reason": report["verdict"]["reason"],
        "arms": arms,
        "best_simple": best,
        "predictions": found.get("predictions", []),
    }


def _effects(rows: Sequence[Document]) -> dict[str, Document]:
    """Return the effects in % by arm; of those that have an interval."""
    found = {}
    for row in rows:
        relative = row["relative"]
        if relative["lower_pct"] is not None:
            found[row["arm"]] = {
                "value": relative["effect_pct"],
                "lower": relative["lower_pct"],
                "upper": relative["upper_pct"],
            }
    return found


def print_outcome(outcome: Document, output: Console) -> None:
    """Print a day's verdict and its arms."""
    verdict = f"[bold]{outcome['decision']}[/]: {outcome['reason']}\n"
    output.print(verdict, soft_wrap=True, highlight=False)
    arms, best = outcome["arms"], outcome["best_simple"]
    names = {arm["arm"]: f"{arm['arm']} {arm['recommender']}" for arm in arms}
    columns = ["time", f"over {names[arms[0]['arm']]}"]
    if best is not None:
        columns.append(f"over {names[best]}, the best simple arm")
    table = Table("arm", box=None)
    table.title = "Listening time of a session in tracks, with 95 % intervals"
    for column in columns:
        table.add_column(column, justify="right")
    for arm in arms:
        effects = [_describe(arm["effect_pct"]), _describe(arm["over_simple_pct"])]
        cells = [numbers.number(arm["mean"]), *effects]
        table.add_row(names[arm["arm"]], *cells[: len(columns)])
    output.print(table)


def _describe(effect: Document | None) -> str:
    if effect is None:
        return numbers.NOTHING
    limits = numbers.interval(effect["lower"], effect["upper"], 0)
    return f"{numbers.change(effect['value'], 0)} ({limits})"
