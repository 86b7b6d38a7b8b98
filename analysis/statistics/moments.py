"""Counts, means and covariances of an arm's listeners: all that its statistics are computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from looplib.arrays import FloatArray


@dataclass(frozen=True)
class Quantity:
    """A mean over listeners, or a ratio of two."""

    numerator: str  # a column
    denominator: str | None = None  # a column, or None for the mean of the numerator


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, means and sample covariances of columns that have one value a listener."""

    names: tuple[str, ...]  # the columns
    count: int  # listeners
    means: FloatArray  # shape (columns,)
    # Sums of products of deviations over count - 1, shape (columns, columns); zeros when there are
    # fewer than two listeners
    covariances: FloatArray

    @classmethod
    def of(cls, columns: Mapping[str, npt.ArrayLike]) -> Self:
        """Compute the moments of columns, each of shape (listeners,)."""
        values = np.stack(
            [np.asarray(column, np.float64) for column in columns.values()]
        )
        count = values.shape[1]
        if not count:
            return cls(
                tuple(columns),
                0,
                np.zeros(len(values)),
                np.zeros((len(values), len(values))),
            )
        # Less the first value, so that a column whose values are all equal has no variance at all.
        shifted = values - values[:, :1]
        means = shifted.mean(axis=1)
        deviations = shifted - means[:, np.newaxis]
        return cls(
            tuple(columns),
            count,
            values[:, 0] + means,
            deviations @ deviations.T / max(1, count - 1),
        )

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the listeners of both, which have the same columns and no listener in common.

        Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances, 1979, (2.1).
        """
        count = self.count + other.count
        step = other.means - self.means
        share = other.count / max(1, count)
        products = (
            self._products()
            + other._products()
            + self.count * share * np.outer(step, step)
        )
        return Moments(
            self.names, count, self.means + share * step, products / max(1, count - 1)
        )

    def mean(self, quantity: Quantity) -> float:
        """Return the mean, or ratio of means; NaN when the denominator's mean is 0."""
        numerator, denominator = self._pair(quantity)
        return numerator / denominator if denominator else float("nan")

    def variance(self, quantity: Quantity) -> float:
        """Return the variance of one listener's share in the quantity; over the count, it is that of the quantity."""
        return max(0.0, self.covariance(quantity, quantity))

    def covariance(self, left: Quantity, right: Quantity) -> float:
        """Return the covariance of one listener's shares in two quantities, for ratios by the delta method.

        Deng, Knoblich & Lu, Applying the Delta Method in Metric Analytics, KDD 2018, section 3.1.
        """
        return float(self._gradient(left) @ self.covariances @ self._gradient(right))

    def _gradient(self, quantity: Quantity) -> FloatArray:
        """Return the derivatives of the quantity by each mean, shape (columns,)."""
        numerator, denominator = self._pair(quantity)
        gradient = np.zeros(len(self.names))
        if not denominator:
            return gradient * np.nan
        gradient[self.names.index(quantity.numerator)] += 1 / denominator
        if quantity.denominator is not None:
            gradient[self.names.index(quantity.denominator)] -= (
                numerator / denominator**2
            )
        return gradient

    def _pair(self, quantity: Quantity) -> tuple[float, float]:
        below = (
            1.0
            if quantity.denominator is None
            else float(self.means[self.names.index(quantity.denominator)])
        )
        return float(self.means[self.names.index(quantity.numerator)]), below

    def _products(self) -> FloatArray:
        return self.covariances * max(0, self.count - 1)
