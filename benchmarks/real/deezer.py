"""What unbiased truth says (Deezer, CM100K): do estimates from what people knew order the models?

People rated a hundred tracks each that were drawn at random: the truth. What they knew before is an
observed log. Models learn from four fifths of it; the last fifth scores their ten best as an
offline evaluation does, and by inverse propensities; all five take turns.

IPS and SNIPS take the log for a policy that draws a track in proportion to how many know it. That
forgets that people know what they like: `IPS, root` takes the square root, as if being liked and
being known rose together (Saito, Yaginuma, Nishino, Sakata and Nakata, "Unbiased Recommender
Learning from Missing-Not-At-Random Implicit Feedback", WSDM 2020).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from analysis.offpolicy.estimate import MIN_ESS, estimate_policy
from analysis.offpolicy.logged import LoggedSessions
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from benchmarks.real.files import read_columns
from benchmarks.real.peers import Work
from benchmarks.real.tables import RESAMPLES, SEED, Table, text
from benchmarks.real.unbiased_models import MODELS, Log
from looplib.arrays import BoolArray, FloatArray, IntArray
from looplib.randomness import make_generator

FOLDS, K = 5, 10
LIKED = 3  # ratings from it on, of 1 to 4; other values are flawed
MEASURES = ("truth", "observed", "IPS", "SNIPS", "IPS, root")
PRIOR = 1.0  # listeners who know a track, beside those in the log


@dataclass(frozen=True)
class Ratings:
    """Ratings of tracks; arrays of shape (people, tracks)."""

    is_rated: BoolArray
    is_liked: BoolArray
    is_known: BoolArray  # they had known the track before
    fold: IntArray  # -1 without a rating


def measure(random_half: Path, other_half: Path, _work: Work) -> Table:
    """Score the models by each estimate, and compare their orders with the true one."""
    drawn, observed = read_ratings(random_half, other_half)
    sums, sizes = score_models(drawn, make_logs(drawn, observed))
    people = len(drawn.fold)
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


def read_ratings(random_half: Path, other_half: Path) -> tuple[Ratings, Ratings]:
    """Read ratings of random tracks, and other people's of what they knew; of the same tracks."""
    names = ("user", "item", "rating", "known")
    tables = [read_columns(file, *names) for file in (random_half, other_half)]
    tables = [columns[:, np.isin(columns[2], (1, 2, 3, 4))] for columns in tables]
    tracks = np.unique(np.concatenate([columns[1] for columns in tables]))
    halves = []
    for user, item, rating, known in tables:
        users, row = np.unique(user, return_inverse=True)
        fold = make_generator(SEED, "folds").integers(FOLDS, size=len(user))
        cells = np.full((3, len(users), len(tracks)), -1)
        cells[:, row, np.searchsorted(tracks, item)] = rating, known, fold
        halves.append(Ratings(cells[0] > 0, cells[0] >= LIKED, cells[1] == 1, cells[2]))
    return halves[0], halves[1]


def make_logs(drawn: Ratings, observed: Ratings) -> list[Log]:
    """Hold out each fifth of what those who rated random tracks had known; a log for each."""
    logs = []
    for number in range(FOLDS):
        is_learned = drawn.is_known & (drawn.fold != number)
        is_known = np.concatenate([is_learned, observed.is_rated])
        is_liked = np.concatenate([is_learned & drawn.is_liked, observed.is_liked])
        logs.append(Log(is_known, is_liked))
    return logs


def score_models(
    drawn: Ratings, logs: list[Log]
) -> tuple[dict[str, FloatArray], list[float]]:
    """Score every model by the truth and by each estimate of it.

    Returns:
        What each of the people adds, arrays of shape (2, people, models), by measure; and the
        effective sample size of IPS, by model.
    """
    people, _ = drawn.fold.shape
    sums = {name: np.zeros((2, people, len(MODELS))) for name in MEASURES}
    heldout = drawn.is_known
    plain, root = (_off_policy(drawn, logs, power) for power in (1.0, 0.5))
    answered = np.full(heldout.sum(), fill_value=True)
    scored_folds = sum(
        (heldout & (drawn.fold == number)).any(axis=1) for number in range(FOLDS)
    )
    sizes = []
    for index, model in enumerate(MODELS.values()):
        is_listed = np.zeros(heldout.shape, bool)
        for number, log in enumerate(logs):
            position = rank_tracks(model(log), log.is_known)[:people]
            is_listed |= (drawn.fold == number) & (position < K)
            is_left = drawn.is_rated & ~log.is_known[:people]
            sums["truth"][:, :, index] += _best_of(is_left, drawn.is_liked, position)
        hits = (is_listed & heldout & drawn.is_liked).sum(axis=1)
        sums["observed"][:, :, index] = hits / K, scored_folds
        probability = is_listed[heldout] / K
        estimate, by_root = (
            estimate_policy(
                draws, probability, answered, resamples=RESAMPLES, seed=SEED
            )
            for draws in (plain, root)
        )
        users = plain.users
        requests, weights, times = estimate.sums
        sums["IPS"][:, users, index] = times, requests
        sums["SNIPS"][:, users, index] = times, weights
        requests, _, times = by_root.sums
        sums["IPS, root"][:, users, index] = times, requests
        sizes.append(estimate.ess)
    return sums, sizes


def _off_policy(drawn: Ratings, logs: list[Log], power: float) -> LoggedSessions:
    """Take what is held out for draws of a policy, each among what its fold's log lacks.

    The probability of a track is in proportion to a power of how many know it.
    """
    people = len(drawn.fold)
    propensity = np.zeros(drawn.fold.shape)
    for number, log in enumerate(logs):
        chance = (log.known_by + PRIOR) ** power
        left = chance.sum() - log.is_known[:people] @ chance
        shares = chance / left[:, np.newaxis]
        propensity = np.where(drawn.fold == number, shares, propensity)
    heldout = drawn.is_known
    user, item = heldout.nonzero()
    users, listener = np.unique(user, return_inverse=True)
    liked = drawn.is_liked[heldout].astype(np.float64)
    event = np.arange(len(user))
    shares = propensity[heldout]
    return LoggedSessions(users, listener, event, item, liked, shares, 0, 0)


def rank_tracks(scores: FloatArray, is_left_out: BoolArray) -> IntArray:
    """Rank the tracks of each list from 0; what is left out comes last.

    Equal scores are in one random order. Shape (people, tracks).
    """
    scores = np.where(is_left_out, -np.inf, scores)
    shuffled = make_generator(SEED, "equal scores").permutation(scores.shape[1])
    best_first = shuffled[np.argsort(-scores[:, shuffled], axis=1, kind="stable")]
    return np.argsort(best_first, axis=1)


def _best_of(
    is_left: BoolArray, is_liked: BoolArray, position: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Compute the liked share of the ten best of each person's tracks, and 1 where any."""
    ranks = np.where(is_left, position, position.shape[1])
    best = np.argsort(ranks, axis=1)[:, :K]
    liked = np.take_along_axis(is_left & is_liked, best, axis=1).sum(axis=1)
    counts = is_left.sum(axis=1)
    return liked / np.clip(counts, 1, K), (counts > 0).astype(np.float64)


def compare_orders(
    sums: Mapping[str, FloatArray], resamples: bootstrap.Resamples
) -> list[str]:
    """Describe Spearman's correlation of each order of all models with the true one."""
    values = {}
    for name, both in sums.items():
        whole = bootstrap.divide(*both.sum(axis=1))[np.newaxis]
        resampled = bootstrap.estimate(resamples, *both)
        values[name] = np.concatenate([whole, resampled])
    orders = {name: correlate(values[name], values["truth"]) for name in MEASURES[1:]}
    notes = []
    for name, order in orders.items():
        note = f"{name}: Spearman with the truth {_interval(order)}"
        if name != "observed":
            more = _interval(order - orders["observed"])
            note += f", less that of the observed metric {more}"
        notes.append(note)
    return notes


def _interval(values: FloatArray) -> str:
    """Write the first value with the interval of the others."""
    lower, upper = np.quantile(values[1:], (0.025, 0.975))
    return text(Interval(values[0].item(), lower, upper), 2)


def correlate(values: FloatArray, true: FloatArray) -> FloatArray:
    """Compute Spearman's correlation row by row; both of shape (rows, models)."""
    return np.array([spearmanr(*rows)[0] for rows in zip(values, true, strict=True)])
