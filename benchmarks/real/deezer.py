"""What unbiased truth says (Deezer, CM100K): does an offline metric order the models as truth does?

People rated a hundred tracks each that were drawn at random: the truth. What they knew before is an
observed log. Models learn from four fifths of it; the last fifth scores their ten best as an
offline evaluation does, and all five take turns.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

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


@dataclass(frozen=True)
class Ratings:
    """Ratings of tracks; arrays of shape (people, tracks)."""

    is_rated: BoolArray
    is_liked: BoolArray
    is_known: BoolArray  # they had known the track before
    fold: IntArray  # -1 without a rating


def measure(random_half: Path, other_half: Path, _work: Work) -> Table:
    """Score the models by the truth and by the observed log, and compare the two orders."""
    drawn, observed = read_ratings(random_half, other_half)
    truth, heldout = score_models(drawn, make_logs(drawn, observed))
    people = len(drawn.fold)
    resamples = bootstrap.Resamples(people, RESAMPLES, SEED)
    columns = [bootstrap.ratio_intervals(resamples, *sums) for sums in (truth, heldout)]
    rows = [
        [model, *(text(interval, 3) for interval in intervals)]
        for model, *intervals in zip(MODELS, *columns, strict=True)
    ]
    orders = [_resample(resamples, sums) for sums in (truth, heldout)]
    whole, *drawn_anew = (spearmanr(*values)[0] for values in zip(*orders, strict=True))
    lower, upper = np.quantile(drawn_anew, (0.025, 0.975))
    correlation = text(Interval(whole, lower, upper), 2)
    title = f"Deezer: liked share of the ten best, {people} people"
    note = f"observed: Spearman with the truth {correlation}"
    return Table(title, ("", "truth", "observed"), rows, [note])


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


def score_models(drawn: Ratings, logs: list[Log]) -> tuple[FloatArray, FloatArray]:
    """Score every model by the truth and by the observed log.

    Returns:
        For either, the numerators and denominators of each person, shape (2, people, models).
    """
    people, _ = drawn.fold.shape
    truth, observed = np.zeros((2, 2, people, len(MODELS)))
    heldout = drawn.is_known
    scored_folds = sum(
        (heldout & (drawn.fold == number)).any(axis=1) for number in range(FOLDS)
    )
    for index, model in enumerate(MODELS.values()):
        is_listed = np.zeros(heldout.shape, bool)
        for number, log in enumerate(logs):
            position = rank_tracks(model(log), log.is_known)[:people]
            is_listed |= (drawn.fold == number) & (position < K)
            is_left = drawn.is_rated & ~log.is_known[:people]
            truth[:, :, index] += _best_of(is_left, drawn.is_liked, position)
        hits = (is_listed & heldout & drawn.is_liked).sum(axis=1)
        observed[:, :, index] = hits / K, scored_folds
    return truth, observed


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


def _resample(resamples: bootstrap.Resamples, sums: FloatArray) -> FloatArray:
    """Compute the models' values, shape (1 + resamples, models): the sample comes first."""
    whole = bootstrap.divide(*sums.sum(axis=1))[np.newaxis]
    return np.concatenate([whole, bootstrap.estimate(resamples, *sums)])
