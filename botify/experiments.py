"""Experiments: which arm a listener is in, from the listener and the experiment alone.

The assignment is that of the course's original service, so that its logged arms are found again: murmur3 (32 bits,
unsigned) of the listener's decimal number, seeded with murmur3 of the experiment's name. Experiments with different
seeds are independent of one another.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import mmh3

from looplib.errors import ConfigError

HASHES = 2**32


def arm_name(index: int) -> str:
    """The name of an arm that was given none: `C` (control) for the first, `T1`, `T2` and so on for the others."""
    return f"T{index}" if index else "C"


@dataclass(frozen=True)
class Arm:
    """One treatment of an experiment.

    Attributes:
        name: What the event log calls it.
        weight: Its share of the listeners, relative to the other arms' weights.
        recommender: The recommender that its listeners get, if the experiment decides.
    """

    name: str
    weight: float
    recommender: str


@dataclass(frozen=True)
class Experiment:
    """A split of the listeners into arms.

    Attributes:
        name: What the event log calls it.
        arms: The arms, control first.
        salt: Replaces the name in the hash's seed: the same name with another salt splits the listeners anew, and
            two experiments with one salt split them the same way.
        overrides: Arm by listener, for testers.

    Raises:
        ConfigError: No arm, two of one name, a weight that is no positive number, or an override to no arm.
    """

    name: str
    arms: tuple[Arm, ...]
    salt: str | None = None
    overrides: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks that every listener has one arm."""
        where = f"experiment {self.name}"
        names = [arm.name for arm in self.arms]
        if not self.arms:
            raise ConfigError(f"{where}: no arms; at least one is needed")
        if len(set(names)) < len(names):
            raise ConfigError(f"{where}: two arms of one name among {', '.join(names)}")
        for arm in self.arms:
            if not 0 < arm.weight < float("inf"):
                raise ConfigError(f"{where}: arm {arm.name} has weight {arm.weight}; a positive number is expected")
        for user, name in self.overrides.items():
            if name not in names:
                raise ConfigError(f"{where}: listener {user} is put into arm {name}; the arms are {', '.join(names)}")

    @cached_property
    def seed(self) -> int:
        """The seed of the listeners' hashes."""
        return mmh3.hash(self.salt if self.salt is not None else self.name, signed=False)

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the listeners by arm, overrides aside."""
        total = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / total for arm in self.arms}

    def assign(self, user: int) -> Arm:
        """The arm of a listener: always the same one."""
        (name,) = self.assign_all([user])
        return next(arm for arm in self.arms if arm.name == name)

    def assign_all(self, users: Sequence[int]) -> list[str]:
        """The name of each listener's arm.

        Arms of equal weight take the hash modulo their number; others a range of hashes as long as their share.
        """
        seed, names = self.seed, self._names
        hashes = [mmh3.hash(str(user), seed, signed=False) for user in users]
        if self._are_equal:
            count = len(names)
            assigned = [names[value % count] for value in hashes]
        else:
            ends = self._upper_ends
            assigned = [names[bisect_right(ends, value)] for value in hashes]
        if overrides := self.overrides:
            return [overrides.get(user, name) for user, name in zip(users, assigned, strict=True)]
        return assigned

    @cached_property
    def _names(self) -> list[str]:
        return [arm.name for arm in self.arms]

    @cached_property
    def _are_equal(self) -> bool:
        return len({arm.weight for arm in self.arms}) == 1

    @cached_property
    def _upper_ends(self) -> list[float]:
        """Where the range of every arm but the last one ends."""
        return [share * HASHES for share in accumulate(self.shares.values())][:-1]


class Assignments:
    """The arms of several experiments at once."""

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        """Of the experiments that run."""
        self._experiments = tuple(experiments)
        self._shared: dict[tuple[str, ...], Mapping[str, str]] = {}  # listeners with the same arms share a mapping

    def of(self, users: Sequence[int]) -> list[Mapping[str, str]]:
        """Each listener's arm by experiment, as the event log has it."""
        columns = [experiment.assign_all(users) for experiment in self._experiments]
        shared = self._shared
        return [shared.get(arms) or self._share(arms) for arms in zip(*columns, strict=True)]

    def _share(self, arms: tuple[str, ...]) -> Mapping[str, str]:
        names = (experiment.name for experiment in self._experiments)
        return self._shared.setdefault(arms, dict(zip(names, arms, strict=True)))
