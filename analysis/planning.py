"""What commands share: their arguments, and metrics of all listeners of a log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from analysis.ab.config import AbConfig
from analysis.ab.measures import WHOLE, measure, metric_values
from analysis.ab.metrics import Metric
from analysis.ab.tables import EVERYBODY, load
from analysis.errors import AnalysisError
from looplib.config import parse_config
from looplib.files import atomic_write_json

Logs = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG…", help="Event logs, folders, quoted patterns, or session stores."
    ),
]
OutFile = Annotated[
    Path | None, typer.Option(help="Write the result to this JSON file.")
]


def read_values(logs: Sequence[str | Path], name: str) -> tuple[Metric, pa.Table]:
    """Read a metric, and its numerator and denominator of each listener, from logs or stores.

    The rows are those of `analysis.ab.measures.metric_values` for the whole log.

    Raises:
        ConfigError: There is no such metric, or it is a quantile.
        AnalysisError: They cannot be read.
    """
    roles = {"primary": [name], "secondary": [], "guardrails": [], "diagnostics": []}
    config = parse_config(AbConfig, roles, "--metric")
    (metric,) = config.deciding
    with load(logs) as loaded:
        measure(loaded, config)
        return metric, metric_values(loaded.connection, metric, WHOLE, EVERYBODY)


def parse_effect(text: str) -> float:
    """Return the relative effect that a text such as "5%" or "0.05" stands for; below 0 for a fall.

    Raises:
        AnalysisError: It stands for none, for one of -100 % or less, or may be meant in %.
    """
    try:
        effect = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        effect = float("nan")
    if abs(effect) >= 1 and not text.endswith("%"):
        raise AnalysisError(
            f"effect {text}: is {text} % meant? Write {text}% or {effect / 100:g}; "
            f"{100 * effect:g}% for {effect:g} times the mean"
        )
    if not (effect > -1 and effect != 0 and effect < float("inf")):
        raise AnalysisError(
            f"effect {text}: a share such as 5% or 0.05 is expected, above -100% and not 0"
        )
    return effect


def answer(result: object, text: str, out: Path | None) -> None:
    """Write a result to a file, where one is named, and print its text."""
    if out:
        atomic_write_json(out, result)
    typer.echo(text)
