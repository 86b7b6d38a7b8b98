"""Which arm of which experiment each listener is in, where the service tells it.

`GET /experiments` names the experiments and their arms, `POST /assignments` with `{"users": […]}` is answered with
`{"assignments": [{"user", "experiments": {name: arm}}…]}` in the same order, `experiments` being as in the event log. A
service without these addresses tells no arms.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from sim.remote.connection import Address, Connection, LostError, NotSentError

_UNKNOWN = -1
_USERS_AT_ONCE = 1000


@dataclass(frozen=True)
class Assignment:
    """An experiment's split of the listeners.

    Attributes:
        experiment: Its name.
        arms: Names of the arms, control first.
        arm: (listeners,) index into `arms`.
    """

    experiment: str
    arms: tuple[str, ...]
    arm: npt.NDArray[np.int16]


async def ask_assignments(address: Address, listeners: int, timeout_s: float) -> list[Assignment]:
    """Asks for the arms of listeners 0, 1 and so on; an empty list if the service does not tell them all."""
    connection = Connection(address, timeout_s)
    try:
        answer = await connection.get("/experiments")
        names = _arms_by_experiment(answer.body) if answer.status == 200 else {}
        arm = {name: np.full(listeners, _UNKNOWN, dtype=np.int16) for name in names}
        for first in range(0, listeners if names else 0, _USERS_AT_ONCE):
            users = list(range(first, min(first + _USERS_AT_ONCE, listeners)))
            answer = await connection.post("/assignments", orjson.dumps({"users": users}))
            if answer.status != 200:
                return []
            _fill_in(arm, names, users, answer.body)
    except (NotSentError, LostError, orjson.JSONDecodeError, TypeError, KeyError, ValueError):
        return []  # whoever answers so is no service that tells arms, or will fail at the first session too
    finally:
        connection.close()
    return [Assignment(name, arms, arm[name]) for name, arms in names.items()]


def _arms_by_experiment(body: bytes) -> dict[str, tuple[str, ...]]:
    experiments = orjson.loads(body)["experiments"]
    return {experiment["name"]: tuple(arm["name"] for arm in experiment["arms"]) for experiment in experiments}


def _fill_in(
    arm: dict[str, npt.NDArray[np.int16]], names: dict[str, tuple[str, ...]], users: list[int], body: bytes
) -> None:
    """Raises ValueError or KeyError where an answer is not about these users and arms."""
    for user, found in zip(users, orjson.loads(body)["assignments"], strict=True):
        if found["user"] != user:
            raise ValueError(f"user {user} was asked for, {found['user']} answered")
        for name, arms in names.items():
            arm[name][user] = arms.index(found["experiments"][name])
