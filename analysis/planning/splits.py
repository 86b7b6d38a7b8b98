"""Splitting listeners into arms that are treated alike, many times: what runs on a worker for each batch of splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import mmh3
import numpy as np

from analysis.planning.listener_days import Sample
from analysis.statistics.effects import Effect, compare, estimate
from analysis.statistics.moments import Moments
from looplib.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Splits:
    """What the splits gave; arrays of shape (splits,).

    Attributes:
        p_values: Without an effect.
        effect_p_values: With the injected one.
        lower: Lower end of the relative effect's interval, with the injected one.
        upper: Upper end.
    """

    p_values: FloatArray
    effect_p_values: FloatArray
    lower: FloatArray
    upper: FloatArray


def assign(users: Sequence[bytes], salt: str, arms: int) -> IntArray:
    """The arm of each listener, as the service assigns it: murmur3 of the listener seeded with murmur3 of the salt.

    Args:
        users: The listeners' ids in decimal digits.
        salt: The experiment's salt.
        arms: How many arms of equal weight there are; the result is 0 to one less.
    """
    seed = mmh3.hash(salt, signed=False)
    hashed = mmh3.mmh3_32_uintdigest
    return np.fromiter((hashed(user, seed) for user in users), np.int64, len(users)) % arms


def split(sample: Sample, salts: Sequence[str], arms: int, effect: float) -> Splits:
    """Compares the first two arms under each salt, without and with an effect on the second.

    Args:
        sample: Whom to split.
        salts: One a split.
        arms: Arms of equal weight.
        effect: Relative; every listener's value is multiplied by 1 + effect, so the metric is too.
    """
    users = [str(user).encode() for user in sample.users.tolist()]
    rows = []
    for salt in salts:
        arm = assign(users, salt, arms)
        plain, changed = _compare(sample, arm == 0, arm == 1, effect)
        rows.append((plain.p_value, changed.p_value, changed.relative.lower, changed.relative.upper))
    return Splits(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


def _compare(sample: Sample, control: BoolArray, arm: BoolArray, effect: float) -> tuple[Effect, Effect]:
    """The difference without and with an effect on the arm."""
    of_control, of_arm = (
        Moments.of({name: column[group] for name, column in sample.columns.items()}) for group in (control, arm)
    )
    baseline = estimate(of_control, sample.quantity)
    changed = _scale(of_arm, sample.scaled, 1 + effect)
    return compare(baseline, estimate(of_arm, sample.quantity)), compare(baseline, estimate(changed, sample.quantity))


def _scale(moments: Moments, column: str, factor: float) -> Moments:
    """The moments with one column multiplied."""
    factors = np.where(np.array(moments.names) == column, factor, 1.0)
    return Moments(
        moments.names, moments.count, moments.means * factors, moments.covariances * np.outer(factors, factors)
    )
