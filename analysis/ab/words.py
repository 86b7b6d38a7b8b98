"""What a report says: the sentences of `words.txt.jinja`, which the page shows, too."""

import re
from pathlib import Path
from typing import Any

from analysis.ab.effects import MetricEffect
from analysis.ab.interleaving import Preference
from analysis.ab.report import Report
from analysis.page.render import load_macros

FOLDER = Path(__file__).parent
TEMPLATE = "words.txt.jinja"


def headline(report: Report) -> str:
    """Write the verdict in a few words, with the arm's recommender."""
    return _say("headline", report)


def reason(report: Report) -> str:
    """Write the reason of the verdict, in sentences that name every arm."""
    return _say("reason", report)


def warnings(report: Report) -> list[str]:
    """Write the warnings about a verdict, a sentence each."""
    text = load_macros(FOLDER, TEMPLATE).warnings(report)
    return [line for line in map(_one_line, text.splitlines()) if line]


def summary(report: Report) -> str:
    """Write the verdict and its reason."""
    return f"{headline(report)}. {reason(report)}"


def sentences(report: Report) -> dict[str, str | list[str]]:
    """Say all of it, as `report.json` has it."""
    return {
        "headline": headline(report),
        "reason": reason(report),
        "warnings": warnings(report),
    }


def preference(row: Preference) -> str:
    """Write the preference between two interleaved recommenders."""
    return _say("preference", row)


def change_with_range(effect: MetricEffect) -> str:
    """Say a change and where the true one may lie, such as "+5.4 % (+1.0 to +9.8 %)"."""
    return _say("change_with_range", effect)


def limit(effect: MetricEffect) -> str:
    """Write the margin of a guardrail, such as "to stay below +10 %"."""
    return _say("limit", effect)


def _say(macro: str, value: Any) -> str:  # noqa: ANN401  whatever the macro takes
    return _one_line(getattr(load_macros(FOLDER, TEMPLATE), macro)(value))


def _one_line(text: str) -> str:
    """Join the lines of a template; other spaces than plain ones stay."""
    return re.sub(r"[ \n]+", " ", text).strip()
