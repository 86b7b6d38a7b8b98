"""What unbiased truth says (Deezer, CM100K): do estimates from what people knew order the models?

People rated a hundred tracks each that were drawn at random: the truth. What they knew before is an
observed log. Models learn from four fifths of it; the last fifth scores their ten best as an
offline evaluation does, and by inverse propensities; all five take turns.

IPS and SNIPS take the log for a policy that draws a track in proportion to how many know it. That
forgets that people know what they like: `IPS, root` takes the square root, as if being liked and
being known rose together (Saito, Yaginuma, Nishino, Sakata and Nakata, "Unbiased Recommender
Learning from Missing-Not-At-Random Implicit Feedback", WSDM 2020).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from analysis.offpolicy.estimate import MIN_ESS, estimate_policy
from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from benchmarks.real.pairs import read_columns
from benchmarks.real.peers import Work
from benchmarks.real.product import THREADS
from benchmarks.real.tables import RESAMPLES, SEED, Table, text
from looplib.als import AlsConfig
from looplib.arrays import BoolArray, FloatArray, IntArray
from looplib.randomness import make_generator
from recsys.models.item_knn import ItemKnnConfig, weigh
from recsys.models.solver import first_factors, solve
from recsys.models.sparse import nearest

FOLDS, K, ITERATIONS = 5, 10, 15
LIKED = 3  # ratings from it on, of 1 to 4; other values are flawed
MEASURES = ("truth", "observed", "IPS", "SNIPS", "IPS, root")
PRIOR = 1.0  # listeners who know a track, beside those in the log


@dataclass(frozen=True)
class Ratings:
    """Ratings of some people; arrays of shape (ratings,)."""

    user: IntArray  # rows
    item: IntArray  # columns
    is_liked: BoolArray
    is_known: BoolArray  # they had known the track before

    def select(self, is_kept: BoolArray) -> "Ratings":
        """Return some of the ratings; a flag for each."""
        return Ratings(*(array[is_kept] for array in vars(self).values()))


@dataclass(frozen=True)
class Log:
    """What is learned from: shape (people, tracks), 1 where a track was known, and liked."""

    known: csr_matrix
    liked: csr_matrix


# scores of all tracks for all people, shape (people, tracks)
Scores = Callable[[Log], FloatArray]


def most_known(log: Log) -> FloatArray:
    """Score by how many knew a track."""
    return _for_all(log, _counts(log.known))


def most_liked(log: Log) -> FloatArray:
    """Score by how many liked it."""
    return _for_all(log, _counts(log.liked))


def liked_share(log: Log) -> FloatArray:
    """Score by how many of those who knew it liked it, drawn towards everybody's share."""
    known, liked = _counts(log.known), _counts(log.liked)
    everybody = liked.sum() / known.sum()
    return _for_all(log, (liked + 5 * everybody) / (known + 5))


def at_random(log: Log) -> FloatArray:
    """Score by chance."""
    return make_generator(SEED, "random scores").random(log.known.shape)


def item_knn(params: ItemKnnConfig) -> Scores:
    """Return a model that scores by closeness to what was liked."""

    def score(log: Log) -> FloatArray:
        by_track = weigh(csr_matrix(log.liked.T), params)
        by_listener = csr_matrix(by_track.T)
        near = nearest(by_track, by_listener, params.neighbours, THREADS)
        return np.asarray((log.liked @ near).toarray(), np.float64)

    return score


def als(params: AlsConfig) -> Scores:
    """Return a model of factors of what was liked."""

    def score(log: Log) -> FloatArray:
        liked = log.liked.astype(np.float32)
        users, items = first_factors(liked.shape, params.factors, SEED)
        by_track = csr_matrix(liked.T)
        for _ in range(ITERATIONS):
            solve(users, [items], liked, params, THREADS)
            solve(items, [users], by_track, params, THREADS)
        return np.asarray(users @ items.T, np.float64)

    return score


MODELS: Mapping[str, Scores] = {
    "popular": most_known,
    "most liked": most_liked,
    "liked share": liked_share,
    "random": at_random,
    "item_knn bm25": item_knn(ItemKnnConfig()),
    "item_knn cosine": item_knn(ItemKnnConfig(weighting="cosine")),
    "item_knn cosine, 20": item_knn(ItemKnnConfig(neighbours=20, weighting="cosine")),
    "als 8": als(AlsConfig(factors=8, regularization=0.1, alpha=1.0)),
    "als 32": als(AlsConfig(factors=32, regularization=0.1, alpha=1.0)),
    "als 8, weight 40": als(AlsConfig(factors=8, regularization=1.0, alpha=40.0)),
    "als 32, weight 40": als(AlsConfig(factors=32, regularization=1.0, alpha=40.0)),
    "als 16, unobserved .1": als(
        AlsConfig(
            factors=16,
            regularization=0.003,
            alpha=1.0,
            cg_steps=3,
            unobserved_weight=0.1,
            nu=1.0,
        )
    ),
}


@dataclass(frozen=True)
class Turn:
    """A fold: the log to learn from, and what is held out of it."""

    log: Log
    drawn: Ratings  # of the random tracks that are not in the log: the truth
    heldout: Ratings  # of these, what was known

    def propensity(self, power: float) -> FloatArray:
        """Return the probability of drawing each held-out track, among those not in the log.

        It is in proportion to a power of how many know the track; shape (held-out ratings,).
        """
        chance = (_counts(self.log.known) + PRIOR) ** power
        left = chance.sum() - self.log.known @ chance
        propensity: FloatArray = chance[self.heldout.item] / left[self.heldout.user]
        return propensity


def measure(random_half: Path, other_half: Path, _work: Work) -> Table:
    """Score the models by each estimate, and compare their orders with the true one."""
    turns = make_turns(*read_ratings(random_half, other_half))
    sums, sizes = score_models(turns)
    _, people, _ = sums["truth"].shape
    resamples = bootstrap.Resamples(people, RESAMPLES, SEED)
    intervals = {
        name: bootstrap.ratio_intervals(resamples, *both) for name, both in sums.items()
    }
    rows = []
    for number, model in enumerate(MODELS):
        figures = [text(intervals[name][number], 3) for name in MEASURES]
        size = sizes[number]
        rows.append([model, *figures, f"{size:.0f}{', refused' * (size < MIN_ESS)}"])
    title = f"Deezer: liked share of the ten best, {people} people"
    header = ("", *MEASURES, "effective sample size of IPS")
    return Table(title, header, rows, compare_orders(sums, resamples))


def read_ratings(
    random_half: Path, other_half: Path
) -> tuple[Ratings, Ratings, tuple[int, int]]:
    """Read what was rated of random tracks, and what others knew; and count people and tracks."""
    names = ("user", "item", "rating", "known")
    both = [np.stack(read_columns(file, *names)) for file in (random_half, other_half)]
    both = [columns[:, np.isin(columns[2], (1, 2, 3, 4))] for columns in both]
    tracks = np.unique(np.concatenate([columns[1] for columns in both]))
    found, people = [], 0
    for user, item, rating, known in both:
        users, row = np.unique(user, return_inverse=True)
        column = np.searchsorted(tracks, item)
        found.append(Ratings(people + row, column, rating >= LIKED, known == 1))
        people += len(users)
    drawn, others = found
    return drawn, others, (people, len(tracks))


def make_turns(drawn: Ratings, others: Ratings, shape: tuple[int, int]) -> list[Turn]:
    """Hold out each fifth of what those who rated random tracks had known."""
    fold = make_generator(SEED, "folds").integers(FOLDS, size=len(drawn.user))
    turns = []
    for number in range(FOLDS):
        is_learned = drawn.is_known & (fold != number)
        log = _make_log([drawn.select(is_learned), others], shape)
        rest = drawn.select(~is_learned)
        turns.append(Turn(log, rest, rest.select(rest.is_known)))
    return turns


def score_models(
    turns: Sequence[Turn],
) -> tuple[dict[str, FloatArray], list[float]]:
    """Score every model by the truth and by each estimate of it.

    Returns:
        What each of the people adds, arrays of shape (2, people, models), by measure; and the
        effective sample size of IPS, by model.
    """
    people = turns[0].drawn.user.max() + 1
    sums = {name: np.zeros((2, people, len(MODELS))) for name in MEASURES}
    plain, root = (_off_policy(turns, power) for power in (1.0, 0.5))
    sizes = []
    for number, model in enumerate(MODELS.values()):
        listed = []
        for turn in turns:
            position = rank_tracks(model(turn.log), turn.log.known)[:people]
            heldout = turn.heldout
            is_listed = position[heldout.user, heldout.item] < K
            listed.append(is_listed)
            hits = np.bincount(heldout.user, is_listed & heldout.is_liked, people)
            is_scored = np.bincount(heldout.user, minlength=people) > 0
            sums["truth"][:, :, number] += _best_of(turn.drawn, position)
            sums["observed"][:, :, number] += (hits / K, is_scored)
        probability = np.concatenate(listed)[_by_listener(turns)] / K
        answered = np.full(len(probability), fill_value=True)
        estimate, by_root = (
            estimate_policy(
                draws, probability, answered, resamples=RESAMPLES, seed=SEED
            )
            for draws in (plain, root)
        )
        users = plain.users
        requests, weights, times = estimate.sums
        sums["IPS"][:, users, number] = times, requests
        sums["SNIPS"][:, users, number] = times, weights
        requests, _, times = by_root.sums
        sums["IPS, root"][:, users, number] = times, requests
        sizes.append(estimate.ess)
    return sums, sizes


def _off_policy(turns: Sequence[Turn], power: float) -> LoggedSessions:
    """Take the held-out ratings of all turns for draws of the log's policy."""
    order = _by_listener(turns)
    user, item, is_liked = (
        np.concatenate([getattr(turn.heldout, name) for turn in turns])[order]
        for name in ("user", "item", "is_liked")
    )
    propensity = np.concatenate([turn.propensity(power) for turn in turns])[order]
    users, listener = np.unique(user, return_inverse=True)
    liked, event = is_liked.astype(np.float64), np.arange(len(user))
    return LoggedSessions(users, listener, event, item, liked, propensity, 0, 0)


def _by_listener(turns: Sequence[Turn]) -> IntArray:
    """Return the order of the held-out ratings of all turns by listener."""
    user = np.concatenate([turn.heldout.user for turn in turns])
    return np.argsort(user, kind="stable")


def rank_tracks(scores: FloatArray, left_out: csr_matrix) -> IntArray:
    """Return the position of each track in each list, from 0; what is left out comes last.

    Equal scores are in one random order. Shape (people, tracks).
    """
    scores = scores.copy()
    scores[left_out.nonzero()] = -np.inf
    shuffled = make_generator(SEED, "equal scores").permutation(scores.shape[1])
    best_first = shuffled[np.argsort(-scores[:, shuffled], axis=1, kind="stable")]
    position = np.empty(best_first.shape, np.int64)
    ranks = np.broadcast_to(np.arange(scores.shape[1]), best_first.shape)
    np.put_along_axis(position, best_first, ranks, axis=1)
    return position


def compare_orders(
    sums: Mapping[str, FloatArray], resamples: bootstrap.Resamples
) -> list[str]:
    """Describe Spearman's correlation of each order of all models with the true one."""
    whole = {
        name: bootstrap.divide(*both.sum(axis=1))[np.newaxis]
        for name, both in sums.items()
    }
    drawn = {name: bootstrap.estimate(resamples, *both) for name, both in sums.items()}
    found = {
        name: [correlate(values[name], values["truth"]) for values in (whole, drawn)]
        for name in MEASURES[1:]
    }
    notes = []
    observed = found["observed"]
    for name, (value, noisy) in found.items():
        note = f"{name}: Spearman with the truth {_interval(value, noisy)}"
        if name != "observed":
            more = _interval(value - observed[0], noisy - observed[1])
            note += f", less that of the observed metric {more}"
        notes.append(note)
    return notes


def _interval(value: FloatArray, noisy: FloatArray) -> str:
    lower, upper = np.quantile(noisy, (0.025, 0.975))
    return text(Interval(value.item(), lower, upper), 2)


def correlate(found: FloatArray, true: FloatArray) -> FloatArray:
    """Return Spearman's correlation row by row; both of shape (rows, models)."""
    ranks = [rankdata(values, axis=1) for values in (found, true)]
    centred = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    products = (centred[0] * centred[1]).sum(axis=1)
    lengths = [np.sqrt((values**2).sum(axis=1)) for values in centred]
    spearman: FloatArray = products / np.maximum(lengths[0] * lengths[1], 1e-12)
    return spearman


def _best_of(drawn: Ratings, position: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the liked share of the ten best of each person's random tracks, and 1 where any."""
    people = len(position)
    rank = position[drawn.user, drawn.item]
    order = np.lexsort((rank, drawn.user))
    counts = np.bincount(drawn.user, minlength=people)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    place = np.arange(len(order)) - starts[drawn.user[order]]
    best = order[place < K]
    liked = np.bincount(drawn.user[best], drawn.is_liked[best], people)
    shares = liked / np.maximum(np.minimum(counts, K), 1)
    return shares, (counts > 0).astype(np.float64)


def _make_log(parts: Sequence[Ratings], shape: tuple[int, int]) -> Log:
    sides = []
    for is_liked in (False, True):
        kept = [part.select(part.is_liked) if is_liked else part for part in parts]
        row, column = (
            np.concatenate([getattr(part, name) for part in kept])
            for name in ("user", "item")
        )
        sides.append(csr_matrix((np.ones(len(row)), (row, column)), shape))
    return Log(*sides)


def _counts(matrix: csr_matrix) -> FloatArray:
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)


def _for_all(log: Log, scores: FloatArray) -> FloatArray:
    return np.broadcast_to(scores, log.known.shape)
