"""How well simulated listening reproduces the data: popularity, and tracks heard by the same listeners."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.fitted.table import ListeningTable
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import play_out, recommend_random

NEIGHBOURS = 10
_TRACKS = 1000  # that co-listening is compared on
_BATCH = 20_000


@dataclass(frozen=True)
class Reproduction:
    """Data against simulation."""

    popularity: float  # Spearman's rank correlation of the tracks' weights with their simulated listening time
    co_listening: float  # mean share of a track's ten most co-listened tracks that are among its ten in the simulation
    chance: float  # that share with the simulated ten of another track, which is what popularity alone gives
    tracks: int  # that the shares are means of


def simulate_listening(model: ListeningModel, sessions: int, seed: int) -> ListeningTable:
    """Simulate so many sessions of every listener with random recommendations; organic tracks count."""
    world = model.world
    listeners = np.repeat(np.arange(world.listeners), sessions)
    found: list[tuple[IntArray, IntArray, FloatArray]] = []
    for start in range(0, len(listeners), _BATCH):
        rng = make_generator(seed, "reproduction", start)
        batch = Sessions(model, listeners[start : start + _BATCH], rng)
        play_out(batch, recommend_random, rng)
        position, row = np.nonzero(np.arange(len(batch.tracks))[:, None] < batch.length)
        tracks = batch.tracks[position, row].astype(np.int64)
        found.append((batch.listener[row], tracks, batch.hundredths[position, row] / 100.0))
    users, tracks, shares = (np.concatenate(column) for column in zip(*found, strict=True))
    return ListeningTable.of(world.listeners, world.tracks, users, tracks, shares)


def compare_listening(data: ListeningTable, simulated: ListeningTable, seed: int) -> Reproduction:
    """Compare two tables of the same listeners and tracks.

    Co-listening is compared on tracks, drawn by the seed, that somebody heard together with another track.
    """
    heard = np.flatnonzero(data.popularity > 0)
    sample = np.sort(make_generator(seed, "compared tracks").permutation(heard)[:_TRACKS])
    data_tops, simulated_tops = co_listened(data, sample), co_listened(simulated, sample)
    compared = np.flatnonzero([len(top) > 0 for top in data_tops])
    others = np.roll(compared, 1)
    return Reproduction(
        popularity=spearman(data.popularity, simulated.popularity),
        co_listening=_overlap(data_tops, simulated_tops, compared, compared),
        chance=_overlap(data_tops, simulated_tops, compared, others),
        tracks=len(compared),
    )


def co_listened(table: ListeningTable, tracks: IntArray) -> list[IntArray]:
    """Find the ten tracks heard most by the same listeners as each of some tracks; fewer where there are no more.

    They are those of the largest cosine between the tracks' columns of weights.
    """
    lengths = np.sqrt(np.bincount(table.track, weights=table.weight**2, minlength=table.tracks))
    by_track = np.argsort(table.track, kind="stable")
    first = np.searchsorted(table.track[by_track], np.arange(table.tracks + 1))
    offsets, tops = table.offsets, []
    for track in tracks.tolist():
        pairs = by_track[first[track] : first[track + 1]]
        users = table.user[pairs]
        sizes = offsets[users + 1] - offsets[users]
        ends = np.cumsum(sizes)
        rows = np.arange(sizes.sum()) + np.repeat(offsets[users] - (ends - sizes), sizes)  # all pairs of those users
        weights = np.repeat(table.weight[pairs], sizes) * table.weight[rows]
        together = np.bincount(table.track[rows], weights=weights, minlength=table.tracks)
        together[track] = 0.0
        cosine = together / np.maximum(lengths, 1e-300)
        best = np.argsort(-cosine, kind="stable")[:NEIGHBOURS]
        tops.append(best[cosine[best] > 0])
    return tops


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Return Spearman's rank correlation, equal values taking their mean rank; NaN if all of one are equal."""
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, distinct, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: FloatArray = (ends - (counts - 1) / 2)[distinct]
    return ranks


def _overlap(wanted: list[IntArray], found: list[IntArray], at: IntArray, found_at: IntArray) -> float:
    """Return the mean share of each wanted list that is in the found list beside it."""
    pairs = zip(at.tolist(), found_at.tolist(), strict=True)
    shares = [len(np.intersect1d(wanted[here], found[there])) / len(wanted[here]) for here, there in pairs]
    return float(np.mean(shares)) if shares else float("nan")
