"""The truth that off-policy estimates are held against: what the simulator's listeners hear of lists.

Two truths, both by the world's own rules. The value at the requests of random sessions is what the estimates are of:
at each request of a session that random recommendations led to, what the policy's choice would be heard for. The served
value is what an experiment measures: the lists make the sessions.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from analysis.offpolicy import Serving
from looplib.arrays import BoolArray, FloatArray, IntArray
from sim.listening.response import raw_share
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import RandomRecommender, play_out

_BLOCK = 5000  # sessions side by side


@dataclass(frozen=True)
class Truth:
    """Mean listening times of a recommended track.

    Attributes:
        at_random_requests: At the requests of sessions with random recommendations.
        served: When the lists are served.
        time_per_session: The listening time of a served session, its organic track included.
        exhausted: Share of the served requests where the list was used up and a random track was played.
    """

    at_random_requests: float
    served: float
    time_per_session: float
    exhausted: float


def find_truth(model: ListeningModel, lists: IntArray, serving: Serving, sessions: int, seed: int) -> Truth:
    """Plays so many sessions of random listeners each way.

    Args:
        model: The world.
        lists: Shape (listeners, length).
        serving: How they are served.
        sessions: Rounded up to blocks.
        seed: Equal seeds give equal sessions.
    """
    at_requests, served = np.zeros(2), np.zeros(3)
    blocks = -(-sessions // _BLOCK)
    for block in range(blocks):
        rng = np.random.default_rng([seed, block])
        at_requests += _at_random_requests(_begin(model, rng), lists, serving, rng)
        served += _serve(_begin(model, rng), lists, serving, rng)
    time, requests, exhausted = served
    return Truth(
        at_random_requests=float(at_requests[0] / at_requests[1]),
        served=float(time / requests),
        time_per_session=float(1 + time / (blocks * _BLOCK)),
        exhausted=float(exhausted / requests),
    )


def random_events(model: ListeningModel, sessions: int, seed: int) -> pa.Table:
    """The events of random sessions in the form of `offpolicy/heldout_events.sql`."""
    rng = np.random.default_rng([seed, sessions])
    listeners = np.sort(rng.integers(model.world.listeners, size=sessions))
    played = Sessions(model, listeners, rng)
    play_out(played, RandomRecommender(model.world.tracks), rng)
    longest = int(played.length.max())
    heard = (np.arange(longest)[:, None] < played.length).T
    position = np.broadcast_to(np.arange(longest) + 1, heard.shape)[heard]
    return pa.table(
        {
            "user": np.repeat(listeners, played.length),
            "position": position,
            "track": played.tracks[:longest].T[heard].astype(np.int64),
            "time": played.hundredths[:longest].T[heard] / 100,
            "followed": position > 1,
            "propensity": np.full(len(position), 1 / model.world.tracks),
        }
    )


def _begin(model: ListeningModel, rng: np.random.Generator) -> Sessions:
    return Sessions(model, rng.integers(model.world.listeners, size=_BLOCK), rng)


def _serve(sessions: Sessions, lists: IntArray, serving: Serving, rng: np.random.Generator) -> FloatArray:
    """Listening time, requests, and those at which a list was used up."""
    sums = np.zeros(3)
    while len(rows := sessions.under_way()):
        listed = lists[sessions.listener[rows]]
        left = ~_heard(sessions, rows, listed)
        order = rng.random(left.shape) if serving == "random" else -np.arange(left.shape[1]) + 0.0
        choice = np.where(left, order, -np.inf).argmax(axis=1)
        used_up = ~left.any(axis=1)
        anything = rng.integers(sessions.world.tracks, size=len(rows))
        tracks = np.where(used_up, anything, listed[np.arange(len(rows)), choice])
        heard = sessions.hear(rows, tracks, rng.random(len(rows)))
        sums += (heard.sum() / 100, len(rows), used_up.sum())
    return sums


def _at_random_requests(sessions: Sessions, lists: IntArray, serving: Serving, rng: np.random.Generator) -> FloatArray:
    """What the policy's choice would be heard for, and how many requests have one."""
    sums = np.zeros(2)
    while len(rows := sessions.under_way()):
        listed = lists[sessions.listener[rows]]
        left = ~_heard(sessions, rows, listed)
        chances = left / np.maximum(left.sum(axis=1, keepdims=True), 1)
        if serving == "in-order":
            chances = left & (np.cumsum(left, axis=1) == 1)
        sums += ((chances * _would_hear(sessions, rows, listed)).sum(), left.any(axis=1).sum())
        sessions.hear(rows, rng.integers(sessions.world.tracks, size=len(rows)), rng.random(len(rows)))
    return sums


def _heard(sessions: Sessions, rows: IntArray, listed: IntArray) -> BoolArray:
    """Whether each listed track was heard in the session; shape (rows, length)."""
    played = sessions.tracks[: int(sessions.length[rows].max()), rows]
    return np.asarray((played[:, :, None] == listed[None]).any(axis=0))


def _would_hear(sessions: Sessions, rows: IntArray, listed: IntArray) -> FloatArray:
    """The share that would be heard of each listed track, as `sim.listening.response` has it; shape (rows, length)."""
    world, who = sessions.world, sessions.listener[rows]
    played = sessions.artists[: int(sessions.length[rows].max()), rows]
    plays = (played[:, :, None] == world.artist[listed][None]).sum(axis=0)
    interest = world.embeddings[sessions.interest[rows]].astype(np.float64)
    dot = np.einsum("rd,rkd->rk", interest, world.embeddings[listed].astype(np.float64))
    raw = raw_share(dot, world.consume_bias[who][:, None], world.consume_sharpness[who][:, None])
    heard: FloatArray = np.rint(100 * raw * world.gamma[who][:, None] ** plays) / 100
    return heard
