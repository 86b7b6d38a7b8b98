"""The realism card: published facts about real listening beside a world's figures.

A figure meets a fact if it lies in the published range, or differs from the published figure by no more than a tenth of
it or 0.03, whichever is more. Facts of different sources contradict each other, so no world meets all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table

LOGS = "the original course service's logs, 0.32 million events"
DATA = "the original course service's catalogue and listeners"
RESULTS = "published results of the original course"
SPOTIFY = "Music Streaming Sessions Dataset (Spotify, 2019)"
YAMBDA = "Yambda (Yandex, 2025)"

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
        room = max(_RELATIVE * abs(self.low), _ABSOLUTE) if self.low == self.high else 0.0
        return self.low - room <= value <= self.high + room


FIGURE_TEXTS = {
    "tracks": "tracks a session",
    "time": "listening time a session",
    "time SD": "its standard deviation",
    "share 0": "recommended tracks heard not at all",
    "share < 0.1": "heard to less than 0.1",
    "share > 0.5": "heard to more than 0.5",
    "share > 0.9": "heard to more than 0.9",
    "share at 1": "share heard of the first recommended track",
    "share at 3": "of the third",
    "share at 5": "of the fifth",
    "share at 10": "of the tenth",
    "length 50 %": "tracks of a session, median",
    "length 95 %": "tracks of a session, 95 %",
    "length 99 %": "tracks of a session, 99 %",
    "longest": "tracks of the longest session",
    "length 6": "sessions of six tracks",
    "between listeners": "standard deviation of the listeners' means",
    "intraclass correlation": "its share of the variance",
    "listener 10 %": "listener's mean time, 10 %",
    "listener 90 %": "listener's mean time, 90 %",
    "listener 99 %": "listener's mean time, 99 %",
}
_RANDOM = [
    *(6.97, 1.98, 1.69, 0.374, 0.662, 0.132, 0.038, 0.128, 0.127, 0.129, 0.407),
    *(6, 11, 15, 24, 0.629, 1.33, 0.63, 1.00, 3.97, 8.37),
]
_STICKY = [
    *(8.01, 3.01, 1.11, 0.299, 0.333, 0.258, 0.0, 0.575, 0.317, 0.181, 0.075),
    *(8, 11, 12, 14, 0.141, 0.52, 0.21, 1.20, 4.24, 4.52),
]

FACTS = (
    *(
        Fact(LOGS, f"{text}, {recommender}", f"{recommender} {key}", value, value)
        for recommender, values in (("random", _RANDOM), ("sticky", _STICKY))
        for (key, text), value in zip(FIGURE_TEXTS.items(), values, strict=True)
    ),
    Fact(DATA, "product of a track and an interest, mean", "product mean", 0.5, 0.5),
    Fact(DATA, "its standard deviation", "product SD", 2.3, 2.3),
    Fact(DATA, "its 99.9 %", "product 99.9 %", 10.2, 10.2),
    Fact(DATA, "its median, tracks of the interest's artist", "product same artist", 9.6, 9.6),
    Fact(DATA, "tracks of an artist, as a track sees them", "artist's tracks", 19, 19),
    Fact(RESULTS, "lift of the same artist, repeats included, %", "sticky lift", 41, 67),
    Fact(RESULTS, "lift of popular tracks, %", "popular lift", -8, 62),
    Fact(RESULTS, "lift of item neighbours, %", "neighbours lift", 161, 161),
    *(
        Fact(SPOTIFY, f"skipped at position {position}, neighbours", f"neighbours skipped at {position}", rate, rate)
        for position, rate in ((1, 0.377), (2, 0.476), (3, 0.505), (20, 0.546))
    ),
    Fact(YAMBDA, "heard not at all, neighbours", "neighbours share 0", 0.074, 0.074),
    Fact(YAMBDA, "heard to half at least, neighbours", "neighbours share > 0.5", 0.634, 0.634),
    Fact(YAMBDA, "median share heard, neighbours", "neighbours median share", 1, 1),
    Fact(YAMBDA, "plays that are repeats, here of opening tracks", "openings repeated", 0.69, 0.69),
)


def card_table(worlds: Mapping[str, Mapping[str, float]]) -> Table:
    """Make the card of some worlds' figures, by their names; a figure that does not meet its fact is said to miss."""
    table = Table("fact", "published", *worlds, box=box.MARKDOWN)
    for source in dict.fromkeys(fact.source for fact in FACTS):
        facts = [fact for fact in FACTS if fact.source == source]
        met = [f"{sum(fact.is_met(found[fact.figure]) for fact in facts)} met" for found in worlds.values()]
        table.add_row(source, f"{len(facts)} facts", *met)
        for fact in facts:
            published = f"{fact.low:g}" if fact.low == fact.high else f"{fact.low:g} … {fact.high:g}"
            values = [found[fact.figure] for found in worlds.values()]
            cells = [f"{value:.3g}{'' if fact.is_met(value) else ' misses'}" for value in values]
            table.add_row(fact.text, published, *cells)
    return table
