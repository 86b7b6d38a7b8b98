"""The realism card: published facts about real listening beside a world's figures.

A figure meets a fact if it lies in the published range, or differs from the published figure by no
more than a tenth of it or 0.03, whichever is more. Facts of different sources contradict each
other, so no world meets all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich import box
from rich.table import Table

_RELATIVE, _ABSOLUTE = 0.1, 0.03


@dataclass(frozen=True)
class Fact:
    """A published figure, or the range of several."""

    source: str
    text: str
    figure: str  # its name in `sim.figures`
    low: float
    high: float

    def is_met(self, value: float) -> bool:
        """Return whether a world's figure is as good as the published one."""
        room = (
            max(_RELATIVE * abs(self.low), _ABSOLUTE) if self.low == self.high else 0.0
        )
        return self.low - room <= value <= self.high + room


_PUBLISHED = yaml.safe_load(
    Path(__file__).with_name("facts.yaml").read_text(encoding="utf-8")
)
_SESSIONS, _OTHERS = _PUBLISHED["sessions"], _PUBLISHED["others"]
FIGURE_TEXTS = {figure: text for figure, (text, *_) in _SESSIONS["figures"].items()}
FACTS = (
    *(
        Fact(
            _SESSIONS["source"],
            f"{text}, {recommender}",
            f"{recommender} {figure}",
            values[index],
            values[index],
        )
        for index, recommender in enumerate(("random", "sticky"))
        for figure, (text, *values) in _SESSIONS["figures"].items()
    ),
    *(
        Fact(source, text, figure, ends[0], ends[-1])
        for source, facts in _OTHERS.items()
        for text, (figure, *ends) in facts.items()
    ),
)


def card_table(worlds: Mapping[str, Mapping[str, float]]) -> Table:
    """Make the card of some worlds' figures, by their names; a figure that does not meet its fact is said to miss."""
    table = Table("fact", "published", *worlds, box=box.MARKDOWN)
    for source in dict.fromkeys(fact.source for fact in FACTS):
        facts = [fact for fact in FACTS if fact.source == source]
        met = [
            f"{sum(fact.is_met(found[fact.figure]) for fact in facts)} met"
            for found in worlds.values()
        ]
        table.add_row(source, f"{len(facts)} facts", *met)
        for fact in facts:
            published = (
                f"{fact.low:g}"
                if fact.low == fact.high
                else f"{fact.low:g} … {fact.high:g}"
            )
            values = [found[fact.figure] for found in worlds.values()]
            cells = [
                f"{value:.3g}{'' if fact.is_met(value) else ' misses'}"
                for value in values
            ]
            table.add_row(fact.text, published, *cells)
    return table
