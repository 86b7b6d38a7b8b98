"""Experiments: which arm a listener is in, computed from the listener and the experiment alone.

The assignment is that of the original course service, so its logged arms are reproduced: murmur3
(32 bits, unsigned) of the listener's id, a number in decimal digits, seeded with murmur3 of the
experiment's name. Experiments with different seeds are independent of one another.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import mmh3
from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    field_validator,
    model_validator,
)

from botify.recommenders.registry import RecommenderName
from looplib.config import Config


def arm_name(index: int) -> str:
    """Return the default name of an arm: `C` (control) for the first, then `T1`, `T2` and so on."""
    return f"T{index}" if index else "C"


class Arm(Config):
    """One treatment of an experiment."""

    name: str = Field(min_length=1)  # as in the log
    # its share of the listeners, relative to the other arms' weights
    weight: PositiveFloat = 1.0
    recommender: RecommenderName  # that its listeners get, if the experiment decides


class Experiment(Config):
    """A split of the listeners into arms.

    The salt replaces the name in the hash's seed: the same name with another salt splits the
    listeners anew, and two experiments with one salt split them the same way.
    """

    name: str = Field(min_length=1)  # as in the log
    salt: str | None = None  # in place of the name when listeners are split
    # control first; names left out are those of `arm_name`
    arms: tuple[Arm, ...] = Field(min_length=1)
    # arm by listener, for testers
    overrides: dict[NonNegativeInt | str, str] = Field(default_factory=dict)

    @field_validator("arms", mode="before")
    @classmethod
    def _name_arms(cls, arms: Any) -> Any:  # noqa: ANN401  any YAML
        if not isinstance(arms, list):
            return arms
        return [
            {"name": arm_name(i)} | arm if isinstance(arm, dict) else arm
            for i, arm in enumerate(arms)
        ]

    @model_validator(mode="after")
    def _check_arms(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(
                f"experiment {self.name}: two arms have one name among {', '.join(names)}"
            )
        for user, name in self.overrides.items():
            if name not in names:
                raise ValueError(
                    f"experiment {self.name}: overrides put listener {user} into arm {name}; "
                    f"the arms are {', '.join(names)}"
                )
        return self

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the listeners by arm, overrides aside."""
        total = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / total for arm in self.arms}

    @cached_property
    def _ends(self) -> list[float]:
        """Where the range of hashes of each arm but the last ends; none if weights are equal."""
        ends = [share * 2**32 for share in accumulate(self.shares.values())]
        return ends[:-1] if len({arm.weight for arm in self.arms}) > 1 else []

    def assign(self, users: Sequence[int | str]) -> list[str]:
        """Return the name of each listener's arm, which is always the same one.

        Arms of equal weight take the hash modulo their number; others a range of hashes as long as
        their share.
        """
        names, ends = list(self.shares), self._ends
        seed = mmh3.hash(self.name if self.salt is None else self.salt, signed=False)
        hashes = [mmh3.hash(str(user), seed, signed=False) for user in users]
        positions = [
            bisect_right(ends, value) if ends else value % len(names)
            for value in hashes
        ]
        if overrides := self.overrides:
            return [
                overrides.get(user, names[i])
                for user, i in zip(users, positions, strict=True)
            ]
        return [names[i] for i in positions]
