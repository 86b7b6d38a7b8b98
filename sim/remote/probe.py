"""What a service offers: addresses for many listeners, and which arm of which experiment each listener is in.

`GET /experiments` names the experiments and their arms, `POST /assignments` with `{"users": […]}` is answered with
`{"assignments": [{"user", "experiments": {name: arm}}…]}` in the same order, `experiments` being as in the event log. A
service without these addresses tells no arms.
"""

import asyncio

import numpy as np
import orjson

from sim.errors import RemoteError
from sim.remote.config import RemoteConfig
from sim.remote.service import LostError, RunState, Service, StoppedError, open_service
from sim.remote.summary import Arms, Counts

_NO_SUCH_ADDRESS = (404, 405)
_USERS_AT_ONCE = 1000


async def probe(config: RemoteConfig, listeners: int) -> tuple[bool, Arms]:
    """Wait until the service can be connected to, and ask what it offers.

    Returns:
        Whether it has addresses for many listeners, and the arms; none if the service does not tell them all.

    Raises:
        RemoteError: Nothing listens, or it is no HTTP service.
    """
    state = RunState(asyncio.Event(), Counts.empty(0))
    async with open_service(config, 0, state) as service:
        try:
            answer = await service.ask("POST", "/next", orjson.dumps({"requests": []}))
            return answer.status not in _NO_SUCH_ADDRESS, await _ask_arms(service, listeners)
        except StoppedError:
            raise state.counts.error or RemoteError(f"{config.address}: not connected") from None
        except LostError as error:
            raise RemoteError(f"{config.address}: {error}; is this an HTTP service?") from None


async def _ask_arms(service: Service, listeners: int) -> Arms:
    try:
        answer = await service.ask("GET", "/experiments")
        experiments = orjson.loads(answer.body)["experiments"] if answer.status == 200 else []
        arms = {
            (experiment["name"], arm["name"]): np.zeros(listeners, dtype=np.bool_)
            for experiment in experiments
            for arm in experiment["arms"]
        }
        for first in range(0, listeners if arms else 0, _USERS_AT_ONCE):
            users = list(range(first, min(first + _USERS_AT_ONCE, listeners)))
            answer = await service.ask("POST", "/assignments", orjson.dumps({"users": users}))
            for user, assignment in zip(users, orjson.loads(answer.body)["assignments"], strict=True):
                if assignment["user"] != user:
                    return {}
                for name in {experiment for experiment, _ in arms}:
                    arms[name, assignment["experiments"][name]][user] = True
    except (LostError, orjson.JSONDecodeError, TypeError, KeyError, ValueError):
        return {}  # it does not tell arms, or will fail at the first session too
    return arms
