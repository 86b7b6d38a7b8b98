"""The data's own portrait: who listens to how much, and how unevenly."""

import numpy as np

from analysis.page import numbers
from analysis.page.figures import Bar, Bars, Chart, Plane, Table, arm_style
from analysis.page.scales import Scale
from recsys.dataset.dataset import Dataset

_LONGEST = 15  # of the session lengths that have a bar of their own
_PLACES = 60  # points of the popularity curve
_NAMED = (1, 5, 10, 20, 50)  # shares of the tracks in the table, %


def density(dataset: Dataset) -> float:
    """Share of the pairs of listener and track that have an interaction, in %."""
    facts = dataset.summary
    return 100 * facts.interactions / (facts.listeners * facts.tracks)


def draw_popularity(dataset: Dataset) -> Chart:
    """How much of the listening goes to how many of the tracks, the most popular first (a Lorenz curve from above)."""
    popularity = np.sort(dataset.popularity())[::-1]
    sums = np.concatenate([[0], np.cumsum(popularity)]) / max(1, popularity.sum())

    def share(of_tracks: float) -> float:
        """The share of the interactions, in %, of so many % of the tracks."""
        return 100 * float(np.interp(of_tracks / 100 * len(popularity), np.arange(len(sums)), sums))

    plane = Plane(Scale(0, 100), Scale(0, 104))
    # Closer together where the curve is steep.
    places = [100 * (place / _PLACES) ** 2 for place in range(_PLACES + 1)]
    named = [(at, share(at)) for at in _NAMED]
    return Chart(
        title="Popularity",
        note="The share of the training interactions that the most popular tracks have; dashed if all were equal.",
        description="; ".join(f"the {at} % most popular tracks have {value:.0f} %" for at, value in named),
        x_title="% of the tracks",
        y_title="% of the interactions",
        x_ticks=plane.x_ticks((value, numbers.tick(value)) for value in plane.x.ticks(5)),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in (0, 25, 50, 75, 100)),
        zero=None,
        areas=(),
        lines=(
            plane.line([(0, 0), (100, 100)], arm_style(0)),
            plane.line([(place, share(place)) for place in places], arm_style(1)),
        ),
        dots=tuple(plane.dot(at, value, None, arm_style(1)) for at, value in named),
        legend=(),
        table=Table(
            ("Most popular tracks", "Interactions"),
            tuple((numbers.percent(at, 0), numbers.percent(value, 1)) for at, value in named),
        ),
    )


def draw_session_lengths(dataset: Dataset) -> Bars | None:
    """How many sessions have each length; None where nothing is known of sessions."""
    lengths = dataset.session_lengths()
    if not lengths or set(lengths) == {1}:  # interactions without sessions, each on its own
        return None
    sessions = sum(lengths.values())
    shown = {str(length): lengths.get(length, 0) for length in range(min(lengths), min(_LONGEST, max(lengths) + 1))}
    if max(lengths) >= _LONGEST:
        shown[f"{_LONGEST} or more"] = sum(count for length, count in lengths.items() if length >= _LONGEST)
    most = max(shown.values())
    mean = sum(length * count for length, count in lengths.items()) / sessions
    rows = [(length, count, numbers.percent(100 * count / sessions, 1)) for length, count in shown.items()]
    return Bars(
        title="Session lengths",
        note=f"Tracks in a session, the organic one included; {numbers.number(mean)} on average.",
        description="; ".join(f"{length}: {share}" for length, _, share in rows),
        bars=tuple(Bar(length, share, arm_style(1), 100 * count / most, None) for length, count, share in rows),
        legend=(),
        table=Table(
            ("Tracks", "Sessions", "Share"),
            tuple((length, numbers.count(count), share) for length, count, share in rows),
        ),
    )
