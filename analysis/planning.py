"""What commands share: how they name logs, results and effects."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import AnalysisError

Logs = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG…", help="Event logs, folders, quoted patterns, or session stores."
    ),
]
OutFile = Annotated[
    Path | None, typer.Option(help="Write the result to this JSON file.")
]


def parse_effect(text: str) -> float:
    """Return the relative effect that a text such as "5%" or "0.05" stands for; below 0 for a fall.

    Raises:
        AnalysisError: It stands for none, for one of -100 % or less, or may be meant in %.
    """
    is_percent = text.endswith("%")
    try:
        effect = float(text.removesuffix("%")) / (100 if is_percent else 1)
    except ValueError:
        effect = float("nan")
    if abs(effect) >= 1 and not is_percent:
        raise AnalysisError(
            f"effect {text}: is {text} % meant? Write {text}% or {effect / 100:g}; "
            f"{100 * effect:g}% for {effect:g} times the mean"
        )
    if not (effect > -1 and effect != 0 and effect < float("inf")):
        raise AnalysisError(
            f"effect {text}: a share such as 5% or 0.05 is expected, above -100% and not 0"
        )
    return effect
