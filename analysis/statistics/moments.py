"""Moments of an arm (count, means, covariances), from which all its statistics are computed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt

from looplib.arrays import FloatArray


@dataclass(frozen=True)
class Quantity:
    """A mean over listeners, or a ratio of two such means."""

    numerator: str  # a column
    denominator: str | None = None  # a column, or None for the mean of the numerator


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, means and sample covariances of columns with one value for each listener.

    >>> moments = Moments.of({"minutes": [6, 2, 4], "plays": [2, 1, 3]})
    >>> moments.mean(Quantity("minutes", "plays"))
    2.0
    >>> (moments + moments).count
    6
    """

    names: tuple[str, ...]  # the columns
    count: int  # listeners
    means: FloatArray  # shape (columns,)
    # Sums of products of deviations over count - 1, shape (columns, columns); zeros when there are
    # fewer than two listeners
    covariances: FloatArray

    @classmethod
    def of(cls, columns: Mapping[str, npt.ArrayLike]) -> Self:
        """Compute the moments of columns, each of shape (listeners,)."""
        names = tuple(columns)
        values = np.array([columns[name] for name in names], np.float64)
        count = values.shape[1]
        if not count:
            return cls(names, 0, np.zeros(len(names)), np.zeros((len(names),) * 2))
        # Less the first value, so that a column whose values are all equal has no variance at all.
        first = values[:, :1]
        shifted = values - first
        shifted_means = shifted.mean(axis=1, keepdims=True)
        deviations = shifted - shifted_means
        covariances = deviations @ deviations.T / max(1, count - 1)
        means = (first + shifted_means)[:, 0]
        return cls(names, count, means, covariances)

    def __add__(self, other: "Moments") -> "Moments":
        """Merge the moments of two disjoint groups of listeners with the same columns.

        Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances, 1979, (2.1).
        """
        count = self.count + other.count
        difference = other.means - self.means
        share = other.count / max(1, count)
        products = self._products + other._products
        products += self.count * share * np.outer(difference, difference)
        means = self.means + share * difference
        return Moments(self.names, count, means, products / max(1, count - 1))

    def sum_of_squares(self, name: str) -> float:
        """Compute the sum of squares of a column."""
        column = self.names.index(name)
        mean = float(self.means[column])
        return float(self._products[column, column]) + self.count * mean**2

    def mean(self, quantity: Quantity) -> float:
        """Compute a mean or a ratio of means; NaN if the denominator's mean is 0."""
        numerator = self._column_mean(quantity.numerator)
        denominator = self._column_mean(quantity.denominator)
        return numerator / denominator if denominator else math.nan

    def variance(self, quantity: Quantity) -> float:
        """Compute the variance of a listener's contribution to a quantity (delta method).

        Divided by the count, it is the variance of the quantity itself.
        """
        return max(0.0, self.covariance(quantity, quantity))

    def covariance(self, left: Quantity, right: Quantity) -> float:
        """Compute the covariance of a listener's contributions to two quantities.

        Ratios use the delta method: Deng, Knoblich & Lu, Applying the Delta Method in Metric
        Analytics, KDD 2018, section 3.1.
        """
        return float(self._gradient(left) @ self.covariances @ self._gradient(right))

    def log_ratio(self, first: Quantity, second: Quantity) -> tuple[float, float]:
        """Compute the log of the ratio of two quantities of the same listeners, second over first.

        Returns:
            The logarithm, and its squared standard error by the delta method; NaN if undefined.
        """
        before, after = self.mean(first), self.mean(second)
        if not (self.count > 1 and before * after > 0):
            return math.nan, math.nan
        # relative variances and covariance of one listener's shares
        variance = self.variance(first) / before**2
        variance += self.variance(second) / after**2
        variance -= 2 * self.covariance(first, second) / (before * after)
        return math.log(after / before), max(0.0, variance) / self.count

    def _gradient(self, quantity: Quantity) -> FloatArray:
        """Compute the gradient of a quantity in the column means, shape (columns,)."""
        numerator = self._column_mean(quantity.numerator)
        denominator = self._column_mean(quantity.denominator)
        gradient = np.zeros(len(self.names))
        if not denominator:
            return gradient * math.nan
        gradient[self.names.index(quantity.numerator)] += 1 / denominator
        if quantity.denominator is not None:
            slope = numerator / denominator**2
            gradient[self.names.index(quantity.denominator)] -= slope
        return gradient

    def _column_mean(self, name: str | None) -> float:
        """Return the mean of a column; 1 if no column is named."""
        return 1.0 if name is None else float(self.means[self.names.index(name)])

    @property
    def _products(self) -> FloatArray:
        """Sums of products of deviations from the means."""
        return self.covariances * max(0, self.count - 1)


def stratify(
    strata: Iterable[Mapping[str, Moments]], least: int = 50
) -> dict[str, Moments]:
    """Post-stratify the moments of arms: weight strata, such as days, alike in every arm.

    Arms whose shares change from stratum to stratum are compared within strata, so that the change
    of shares does not look like an effect (Simpson's paradox). Miratrix, Sekhon & Yu, Adjusting
    Treatment Effect Estimates by Post-Stratification in Randomized Experiments, 2013.

    >>> days = [{"C": Moments.of({"plays": [1, 1, 2]}), "T1": Moments.of({"plays": [2]})}] * 2
    >>> stratify(days)["T1"].count
    2

    Args:
        strata: Moments of each arm for each stratum, in order. No listener is in two strata.
        least: Smallest number of listeners that an arm must have in a stratum; a smaller stratum is
            merged with the next. With 50, unneeded strata widen an interval by at most 1 %.

    Returns:
        The moments of each arm: the number of its listeners, weighted means, and covariances which,
            divided by the count, are the covariances of these means.
    """
    merged: list[dict[str, Moments]] = []
    small: dict[str, Moments] = {}
    strata = [*strata]
    arms = set(chain.from_iterable(strata))
    for stratum in strata:
        small = _join(small, stratum)
        if arms == small.keys() and min(row.count for row in small.values()) >= least:
            merged.append(small)
            small = {}
    if small:  # the last days
        merged[-1:] = [_join(*merged[-1:], small)]
    if len(merged) < 2:
        return merged[0]
    sizes = np.array([sum(row.count for row in stratum.values()) for stratum in merged])
    weights = sizes / sizes.sum()

    def combine(parts: Sequence[Moments]) -> Moments:
        counts = np.array([part.count for part in parts])
        means = weights @ np.array([part.means for part in parts])
        shares = weights**2 * counts.sum() / counts
        covariances = np.tensordot(shares, [part.covariances for part in parts], 1)
        return Moments(parts[0].names, int(counts.sum()), means, covariances)

    return {arm: combine([stratum[arm] for stratum in merged]) for arm in merged[0]}


def _join(*strata: Mapping[str, Moments]) -> dict[str, Moments]:
    """Merge the moments of several strata for each arm."""
    joined: dict[str, Moments] = {}
    for arm, moments in chain.from_iterable(map(Mapping.items, strata)):
        joined[arm] = joined[arm] + moments if arm in joined else moments
    return joined
