"""Describe an experiment in YAML, and assign listeners to its arms.

The service, `power` and `ab` read the same file. The arm follows from the listener and the file
alone. It begins with the original course service's rule, so its logged arms are reproduced: murmur3
(32 bits, unsigned) of the listener's id, a number in decimal digits, seeded with murmur3 of the
experiment's name, modulo the number of arms. Unequal weights move listeners from there,
and no more than the weights ask for. Experiments with different seeds are independent.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Self

import mmh3
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from looplib.config import Config, load_config
from looplib.errors import ConfigError

TesterId = Annotated[str, Field(coerce_numbers_to_str=True)]
_HASHES = 2**32
_MEMBER = r"(\w+(?:\([^()]*\))?)"  # a recommender, perhaps with arguments
_INTERLEAVED = re.compile(rf"interleaved\({_MEMBER}, ?{_MEMBER}\)")


def arm_name(index: int) -> str:
    """Name an arm by its position: `C` (control) for the first, then `T1`, `T2` and so on.

    Example:
        >>> [arm_name(index) for index in range(3)]
        ['C', 'T1', 'T2']
    """
    return f"T{index}" if index else "C"


class Arm(Config):
    """One treatment of an experiment."""

    name: str = Field(min_length=1)  # as in the log
    # its share of the listeners, relative to the other arms' weights
    weight: NonNegativeFloat = 1.0
    recommender: str  # its listeners' recommender, if the experiment decides


class Guardrail(Config):
    """A metric that must not get worse by more than its margin, absolute or in %."""

    metric: str  # its name
    # how much worse is still accepted, in the metric's unit
    margin: NonNegativeFloat | None = None
    # the same in % of the control's value
    margin_pct: Annotated[float, Field(ge=0, lt=100)] | None = None

    @model_validator(mode="after")
    def _has_one_margin(self) -> Self:
        if (self.margin is None) == (self.margin_pct is None):
            raise ValueError(
                f"guardrail {self.metric}: give either margin, in its unit, or margin_pct"
            )
        return self


class Experiment(Config):
    """A split of the listeners into arms, with hypothesis and metrics.

    Listeners are split by a hash with the name, so another name splits them anew.

    Example:
        >>> arms = [{"recommender": "top_pop"}, {"recommender": "indexed", "weight": 3}]
        >>> experiment = Experiment(name="RANKING", arms=arms)
        >>> experiment.shares
        {'C': 0.25, 'T1': 0.75}
        >>> experiment.assign([1, 2, 3, "ann"])
        ['T1', 'T1', 'T1', 'C']
    """

    name: str = Field(min_length=1)  # as in the log
    hypothesis: str = ""  # the expected effect and its reason
    # control first; names left out are C, T1, T2 and so on
    arms: tuple[Arm, ...] = Field(min_length=1)
    # arm by listener, for testers, whom reports leave out; 7 and "7" are the same listener
    overrides: dict[TesterId, str] = Field(default_factory=dict)
    # primary metrics; by default the A/B configuration's
    metrics: tuple[str, ...] = ()
    # columns of a table that are better when lower; a log's metrics say it themselves
    lower_is_better: tuple[str, ...] = ()
    # guardrails; by default the A/B configuration's
    guardrails: tuple[Guardrail, ...] | None = None
    # a gain that is surely less, in % of the control's value, is not worth shipping
    smallest_effect_pct: NonNegativeFloat = 0.0
    # listeners of all arms at which it ends; without, it may be stopped at any time
    planned_listeners: PositiveInt | None = None

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
                f"experiment {self.name}: two arms have the same name: {', '.join(names)}"
            )
        for name in self.overrides.values():
            if name not in names:
                raise ValueError(
                    f"experiment {self.name}: overrides name arm {name}; "
                    f"the arms are {', '.join(names)}"
                )
        metrics = {*self.metrics, *(row.metric for row in self.guardrails or ())}
        if self.metrics and (unknown := {*self.lower_is_better} - metrics):
            raise ValueError(
                f"lower_is_better: no metric {', '.join(sorted(unknown))}; "
                f"all are {', '.join(sorted(metrics))}"
            )
        if not any(arm.weight for arm in self.arms):
            raise ValueError(
                f"experiment {self.name}: all arms have the weight 0; raise a weight"
            )
        return self

    @cached_property
    def shares(self) -> dict[str, float]:
        """Share of the listeners by arm, overrides aside."""
        total = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / total for arm in self.arms}

    def assign(self, users: Sequence[int | str]) -> list[str]:
        """Assign listeners to arms, each always to the same arm.

        Returns:
            The name of each listener's arm.
        """
        shares = [*self.shares.values()]
        positions = [value % len(shares) for value in _hash(users, self.name)]
        moved = _move(positions, users, f"{self.name}/0", shares)
        names = [*self.shares]
        return [
            self.overrides.get(str(user), names[position])
            for user, position in zip(users, moved, strict=True)
        ]


def _hash(users: Sequence[int | str], salt: str) -> list[int]:
    """Hash listeners under a salt, 0 to 2^32 - 1."""
    seed = mmh3.hash(salt, signed=False)
    return [mmh3.hash(str(user), seed, signed=False) for user in users]


def _move(
    positions: list[int],
    users: Sequence[int | str],
    salt: str,
    shares: Sequence[float],
) -> list[int]:
    """Move listeners from equal arms whose share falls to arms whose share rises.

    An arm whose share falls keeps that fraction of its listeners; the rest go to the rising arms
    in proportion to their rises. No fewer listeners can move.
    """
    equal = 1 / len(shares)
    rises = [max(0.0, share - equal) for share in shares]
    if not any(rises):
        return positions
    limits = [_HASHES * min(1.0, share / equal) for share in shares]
    ends = [_HASHES * end / sum(rises) for end in accumulate(rises)]
    last = max(i for i, rise in enumerate(rises) if rise)
    stays, goes = _hash(users, salt), _hash(users, f"{salt}/to")
    return [
        position if stay < limits[position] else min(last, bisect_right(ends, go))
        for position, stay, go in zip(positions, stays, goes, strict=True)
    ]


def load_experiment(name: str) -> Experiment | None:
    """Read an experiment's file, if the name is a file's.

    Raises:
        ConfigError: It cannot be read, or is none.
    """
    return read_experiment(name) if name.endswith((".yaml", ".yml")) else None


def read_experiment(name: str) -> Experiment:
    """Read an experiment's file.

    Raises:
        ConfigError: It cannot be read, is none, or has a single arm.
    """
    experiment = load_config(Experiment, Path(name))
    if len(experiment.arms) < 2:
        (arm,) = experiment.arms
        raise ConfigError(
            f"{name}: arms: at least two are expected, the control first; found {arm.name}"
        )
    return experiment


@cache
def members(recommender: str) -> tuple[str, ...]:
    """Parse the two recommenders of a name such as `interleaved(a, b)`; another is itself alone.

    Example:
        >>> members("interleaved(indexed, top_pop)"), members("indexed")
        (('indexed', 'top_pop'), ('indexed',))
    """
    match = _INTERLEAVED.fullmatch(recommender)
    return match.groups() if match else (recommender,)
