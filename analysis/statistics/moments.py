"""What the statistics of an arm are computed from: how many listeners, means and covariances of their columns.

A database returns these in one pass over any number of listeners; nothing else of the log travels further.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from looplib.arrays import FloatArray


@dataclass(frozen=True)
class Quantity:
    """What a metric is of an arm: the mean of a column, or the ratio of the means of two.

    Attributes:
        numerator: A column.
        denominator: A column, or None for the mean of the numerator over the listeners.
    """

    numerator: str
    denominator: str | None = None


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, means and sample covariances of columns that have one value a listener.

    Attributes:
        names: The columns.
        count: Listeners.
        means: Shape (columns,).
        covariances: Sums of products of deviations over count - 1, shape (columns, columns); zeros when there are
            fewer than two listeners.
    """

    names: tuple[str, ...]
    count: int
    means: FloatArray
    covariances: FloatArray

    def __post_init__(self) -> None:
        """Refuses what does not fit together.

        Raises:
            AnalysisError: Shapes, names or count are wrong, or a value is not finite.
        """
        width = len(self.names)
        if len(set(self.names)) != width:
            raise AnalysisError(f"moments: column names must differ, found {', '.join(self.names)}")
        if self.means.shape != (width,) or self.covariances.shape != (width, width):
            shapes = f"means {self.means.shape} and covariances {self.covariances.shape}"
            raise AnalysisError(f"moments: {width} columns, but {shapes}")
        if self.count < 0:
            raise AnalysisError(f"moments: count must be at least 0, found {self.count}")
        if not (np.isfinite(self.means).all() and np.isfinite(self.covariances).all()):
            raise AnalysisError(f"moments: a mean or covariance of {', '.join(self.names)} is not a finite number")

    @classmethod
    def of(cls, columns: Mapping[str, npt.ArrayLike]) -> Self:
        """Moments of arrays, one value a listener.

        Args:
            columns: Name → values, each of shape (listeners,).
        """
        values = np.stack([np.asarray(column, np.float64) for column in columns.values()])
        count = values.shape[1]
        means = values.mean(axis=1) if count else np.zeros(len(values))
        deviations = values - means[:, np.newaxis]
        return cls(tuple(columns), count, means, deviations @ deviations.T / max(1, count - 1))

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of the listeners of both, none of whom is in the two.

        Chan, Golub & LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979, (2.1).

        Raises:
            AnalysisError: The columns differ.
        """
        if self.names != other.names:
            raise AnalysisError(f"moments: cannot add columns {', '.join(other.names)} to {', '.join(self.names)}")
        count = self.count + other.count
        step = other.means - self.means
        share = other.count / max(1, count)
        products = self._products() + other._products() + self.count * share * np.outer(step, step)
        return Moments(self.names, count, self.means + share * step, products / max(1, count - 1))

    def mean(self, quantity: Quantity) -> float:
        """The mean, or ratio of means; NaN when the denominator's mean is 0."""
        numerator, denominator = self._pair(quantity)
        return numerator / denominator if denominator else float("nan")

    def variance(self, quantity: Quantity) -> float:
        """Variance of one listener's share in the quantity: over the count, it is that of the quantity itself."""
        return max(0.0, self.covariance(quantity, quantity))

    def covariance(self, left: Quantity, right: Quantity) -> float:
        """Covariance of one listener's shares in two quantities, for ratios by the delta method.

        Deng, Knoblich & Lu, Applying the Delta Method in Metric Analytics, KDD 2018, section 3.1.
        """
        return float(self._gradient(left) @ self.covariances @ self._gradient(right))

    def _gradient(self, quantity: Quantity) -> FloatArray:
        """How the quantity changes with each mean, shape (columns,)."""
        numerator, denominator = self._pair(quantity)
        gradient = np.zeros(len(self.names))
        if not denominator:
            return gradient * np.nan
        gradient[self._position(quantity.numerator)] += 1 / denominator
        if quantity.denominator is not None:
            gradient[self._position(quantity.denominator)] -= numerator / denominator**2
        return gradient

    def _pair(self, quantity: Quantity) -> tuple[float, float]:
        below = 1.0 if quantity.denominator is None else float(self.means[self._position(quantity.denominator)])
        return float(self.means[self._position(quantity.numerator)]), below

    def _position(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise AnalysisError(f"moments: no column {name}, there are {', '.join(self.names)}") from None

    def _products(self) -> FloatArray:
        return self.covariances * max(0, self.count - 1)


def merge(parts: Sequence[Moments]) -> Moments:
    """Moments of the listeners of all parts, at least one, in the order given.

    Raises:
        AnalysisError: The columns differ.
    """
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
