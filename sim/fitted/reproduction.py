"""How well a fitted world's listeners reproduce the data: popularity, tracks heard by the same listeners, sessions.

A table holds what listeners chose themselves. So do the opening tracks of sessions, and these are
compared.
"""

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.figures import Heard, describe, listen, share_repeated
from sim.fitted.data import ListeningTable
from sim.listening.sessions import ListeningModel, Sessions, draw_starts
from sim.recommenders import Recommender

NEIGHBOURS = 10
_TRACKS = 1000  # that co-listening is compared on


def simulate_listening(
    model: ListeningModel, sessions: int, seed: int
) -> ListeningTable:
    """Draw the opening tracks of so many sessions of every listener."""
    world = model.world
    listeners = np.repeat(np.arange(world.listeners), sessions)
    tracks = draw_starts(model, listeners, make_generator(seed, "reproduction")).organic
    return ListeningTable.of(world.listeners, world.tracks, listeners, tracks)


def compare_listening(
    data: ListeningTable, simulated: ListeningTable, seed: int
) -> dict[str, float]:
    """Compare two tables of the same listeners and tracks, in which each listener counts alike.

    Co-listening is compared on tracks, drawn by the seed, that somebody heard together with another
    track.

    Returns:
        gini: Inequality of the tracks' popularity: 0 all alike, 1 one has it all; `data_gini` in
            the data.
        popularity: Spearman's rank correlation of the tracks' popularity in the two.
        co_listening: Mean share of a track's ten most co-listened tracks in the data that are among
            its ten in the simulation; `chance`: with the ten of another track, which is what
            popularity alone gives; `tracks`: that these shares are means of.
        held_out, held_out_co_listening: Half of the listeners simulated against the data of the
            other half; and with `_data` the data of both halves, which is what luck leaves to be
            had.
    """
    data, simulated = data.shares(), simulated.shares()
    popularity, simulated_popularity = data.popularity(), simulated.popularity()
    sample = np.sort(
        make_generator(seed, "compared tracks").permutation(
            np.flatnonzero(popularity > 0)
        )[:_TRACKS]
    )
    tops = _tops(data, simulated, sample)
    order = make_generator(seed, "held-out listeners").permutation(data.users)
    fitted, others = (
        np.sort(order[: data.users // 2]),
        np.sort(order[data.users // 2 :]),
    )
    held_out, halves = (
        data.only(others),
        [table.only(fitted) for table in (simulated, data)],
    )
    ranks = [spearman(half.popularity(), held_out.popularity()) for half in halves]
    shares = [_overlap(_tops(held_out, half, sample)) for half in halves]
    return {
        "data_gini": gini(popularity),
        "gini": gini(simulated_popularity),
        "popularity": spearman(popularity, simulated_popularity),
        "held_out": ranks[0],
        "held_out_data": ranks[1],
        "co_listening": _overlap(tops),
        "chance": _overlap(
            [(wanted, tops[number - 1][1]) for number, (wanted, _) in enumerate(tops)]
        ),
        "tracks": len(tops),
        "held_out_co_listening": shares[0],
        "held_out_co_listening_data": shares[1],
    }


def compare_sessions(
    model: ListeningModel, log: Heard, seed: int
) -> dict[str, tuple[float, float]]:
    """Return figures of half of the log's listeners, and of simulated sessions of the other half.

    A simulated listener has as many sessions as in the log, and is recommended any of the tracks
    that the log recommended to it.
    """
    order = make_generator(seed, "held-out listeners").permutation(
        model.world.listeners
    )
    fitted, held_out = (
        log.only(np.isin(log.listener, half)) for half in (order[::2], order[1::2])
    )
    found = _figures(listen(model, _recommend_logged(log), fitted.listener, seed))
    return {name: (value, found[name]) for name, value in _figures(held_out).items()}


def _figures(heard: Heard) -> dict[str, float]:
    return describe(heard) | {
        "openings repeated": share_repeated(heard.listener, heard.organic)
    }


def _recommend_logged(log: Heard) -> Recommender:
    recommended = log.position > 0
    tracks, owner = log.tracks[recommended], log.listener[log.session[recommended]]

    def recommend(
        sessions: Sessions, rows: IntArray, rng: np.random.Generator
    ) -> IntArray:
        first, end = (
            np.searchsorted(owner, sessions.listener[rows], side=side)
            for side in ("left", "right")
        )
        drawn: IntArray = tracks[
            np.minimum(
                first + rng.integers(0, np.maximum(end - first, 1)), len(tracks) - 1
            )
        ]
        return drawn

    return recommend


def gini(values: FloatArray) -> float:
    """Return the Gini coefficient of values that are not negative: sum((2i - n - 1) x_i) / (n sum(x)), x ascending."""
    count = len(values)
    return float(
        (2 * np.arange(1, count + 1) - count - 1)
        @ np.sort(values)
        / (count * values.sum())
    )


def co_listened(table: ListeningTable, tracks: IntArray) -> list[IntArray]:
    """Find the ten tracks heard most by the same listeners as each of some tracks; fewer where there are no more.

    They are those of the largest cosine between the tracks' columns of weights.
    """
    lengths = np.sqrt(
        np.bincount(table.track, weights=table.weight**2, minlength=table.tracks)
    )
    by_track = np.argsort(table.track, kind="stable")
    first = np.searchsorted(table.track[by_track], np.arange(table.tracks + 1))
    offsets, tops = table.offsets(), []
    for track in tracks.tolist():
        pairs = by_track[first[track] : first[track + 1]]
        users = table.user[pairs]
        sizes = offsets[users + 1] - offsets[users]
        ends = np.cumsum(sizes)
        # all pairs of those users
        rows = np.arange(sizes.sum()) + np.repeat(
            offsets[users] - (ends - sizes), sizes
        )
        weights = np.repeat(table.weight[pairs], sizes) * table.weight[rows]
        together = np.bincount(
            table.track[rows], weights=weights, minlength=table.tracks
        )
        together[track] = 0.0
        cosine = together / np.maximum(lengths, 1e-300)
        best = np.argsort(-cosine, kind="stable")[:NEIGHBOURS]
        tops.append(best[cosine[best] > 0])
    return tops


def _tops(
    data: ListeningTable, other: ListeningTable, tracks: IntArray
) -> list[tuple[IntArray, IntArray]]:
    """Return the ten of each track in two tables, where the first has any."""
    both = zip(co_listened(data, tracks), co_listened(other, tracks), strict=True)
    return [pair for pair in both if len(pair[0])]


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Return Spearman's rank correlation, equal values taking their mean rank; NaN if all of one are equal."""
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, distinct, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: FloatArray = (ends - (counts - 1) / 2)[distinct]
    return ranks


def _overlap(pairs: list[tuple[IntArray, IntArray]]) -> float:
    """Return the mean share of each first list that is in the second."""
    shares = [
        len(np.intersect1d(wanted, found)) / len(wanted) for wanted, found in pairs
    ]
    return float(np.mean(shares)) if shares else float("nan")
