"""Follow interests that change within a session, by a hidden Markov model.

Before each recommended track, with the probability h, the session's interest is drawn anew from the
listener's, each as likely as it has opened sessions. The shares heard so far say which one a
session follows, by normal densities (the forward algorithm: Rabiner, "A tutorial on hidden Markov
models", 1989, III).
"""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import AnyFloatArray, Float32Array, Int32Array, IntArray
from recsys.session_model.likelihood import ROUNDING, mean_and_slope
from recsys.session_model.ridge import Vectors, paired_dots
from recsys.session_model.training import WORTH_IT, Training

_OTHERS = 5  # interests that a session may change to: those with most openings
_PROBABILITIES = np.array([0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4])
_SESSIONS = 20_000  # at once
_LONGEST = 32  # responses of a session that count
_LEAST = 1e-6


@dataclass(frozen=True)
class Chains:
    """Some sessions, and how well each of c interests explains each of their responses."""

    response: IntArray  # (responses,), session after session
    session: IntArray  # (responses,)
    position: IntArray  # (responses,), in the session
    candidates: Int32Array  # (sessions, c); that of the opening is the first
    usual: Float32Array  # (sessions, c), the chance of each when it is drawn anew
    mean: Float32Array  # (responses, c), the share expected of each interest
    density: Float32Array  # (responses, c), of the share heard, up to a factor

    def follow(self, change: float) -> tuple[Float32Array, Float32Array]:
        """Follow the interests of the sessions, given the responses so far.

        Returns:
            The chance of each interest before and after each response is known, (responses, c).
        """
        now = np.zeros_like(self.usual)
        now[:, 0] = 1
        before = np.empty_like(self.mean)
        after = np.empty_like(self.mean)
        longest = int(self.position.max(initial=-1)) + 1
        for position in range(longest):
            rows = np.flatnonzero(self.position == position)
            session = self.session[rows]
            drawn_anew = self.usual[session]
            chance = (1 - change) * now[session] + change * drawn_anew
            joint = chance * self.density[rows] + np.float32(1e-30)
            posterior = joint / joint.sum(axis=1, keepdims=True)
            before[rows] = chance
            after[rows] = posterior
            now[session] = posterior
        return before, after


class Changes:
    """The sessions of a fit, whose interests may change."""

    def __init__(
        self,
        training: Training,
        tracks: Vectors,
        interests: Vectors,
        interest_of: Int32Array,
    ) -> None:
        """Take the fitted vectors, and the interest of each opening."""
        self.training = training
        self.tracks = tracks.with_constant()
        self.interests = interests
        self.interest_of = interest_of
        self.openings = np.bincount(interest_of)
        heard = training.responses
        fresh = training.fresh
        has_new_opening = np.diff(heard.opening[fresh]) != 0
        is_earlier = np.diff(heard.before[fresh]) <= 0
        inner = np.flatnonzero(has_new_opening | is_earlier) + 1
        self.starts = np.concatenate([[0], inner, [len(fresh)]])  # of the sessions
        self.most_opened = self._most_opened()

    def find(self) -> float:
        """Find the probability of a change that predicts the held-out responses best.

        It is 0 unless it lowers the deviance by more than chance does.
        """
        training = self.training
        is_held_out = np.zeros(len(training.responses), dtype=bool)
        is_held_out[training.held_out] = True
        fresh = is_held_out[training.fresh]
        held_out = np.add.reduceat(fresh, self.starts[:-1])
        is_long = np.diff(self.starts) > 1
        sessions = np.flatnonzero((held_out > 0) & is_long)
        step = 1 + len(sessions) // _SESSIONS
        chains = self._chains(sessions[::step])
        target = np.flatnonzero(is_held_out[chains.response])
        time = training.responses.time[chains.response[target]]

        def predict(change: float) -> Float32Array:
            before, _ = chains.follow(change)
            predicted: Float32Array = np.einsum("ij,ij->i", before, chains.mean)
            return predicted[target]

        deviances = [_deviance(predict(change), time) for change in _PROBABILITIES]
        best = int(np.argmin(deviances))
        still = predict(0.0)
        noise = max(float(np.sum(still * (1 - still))), _LEAST)
        squares = float(np.sum((time - still) ** 2))
        by_chance = squares / noise
        gain = deviances[0] - deviances[best]
        return float(_PROBABILITIES[best]) if gain > WORTH_IT * by_chance else 0.0

    def assign(self, change: float) -> Int32Array:
        """Return the likeliest interest of each response that is learned from."""
        likeliest = self.interest_of[self.training.responses.opening]
        count = len(self.starts) - 1
        for first in range(0, count, _SESSIONS):
            last = min(first + _SESSIONS, count)
            chains = self._chains(np.arange(first, last))
            _, chance = chains.follow(change)
            best = chance.argmax(axis=1)
            likeliest[chains.response] = chains.candidates[chains.session, best]
        kept: Int32Array = likeliest[self.training.kept]
        return kept

    def _most_opened(self) -> Int32Array:
        """Return each listener's interests with most openings, then -1; (listeners, _OTHERS)."""
        heard = self.training.responses
        owner = np.empty(len(self.openings), dtype=np.int64)
        owner[self.interest_of] = heard.listener
        order = np.lexsort((-self.openings, owner))
        owner = owner[order]
        rank = np.arange(len(order)) - np.searchsorted(owner, owner)
        shape = (len(heard.users), _OTHERS)
        table = np.full(shape, -1, dtype=np.int32)
        is_first = rank < _OTHERS
        table[owner[is_first], rank[is_first]] = order[is_first]
        return table

    def _chains(self, sessions: IntArray) -> Chains:
        heard = self.training.responses
        fresh = self.training.fresh
        starts = self.starts[sessions]
        lengths = np.diff(self.starts)[sessions]
        counts = np.minimum(lengths, _LONGEST)
        session = np.repeat(np.arange(len(sessions)), counts)
        first = np.cumsum(counts) - counts
        position = np.arange(len(session)) - first[session]
        response = fresh[starts[session] + position]
        opening = heard.opening[fresh[starts]]
        own = self.interest_of[opening][:, None]
        others = self.most_opened[heard.listener[opening]]
        candidates = np.hstack([own, others])
        is_another = (others >= 0) & (others != own)
        is_candidate = np.hstack([own >= 0, is_another])
        openings = np.where(is_candidate, self.openings[candidates], 0)
        usual = openings.astype(np.float32)
        usual /= usual.sum(axis=1, keepdims=True)
        mean, density = self._explain(response, candidates[session])
        density *= is_candidate[session]
        return Chains(response, session, position, candidates, usual, mean, density)

    def _explain(
        self, response: IntArray, interest: Int32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Return the mean share by each of some interests, and the density of the share heard.

        All three have the shape (responses, c).
        """
        training = self.training
        heard = training.responses
        track = np.repeat(heard.track[response], interest.shape[1])
        logit = paired_dots(
            self.interests.means,
            interest.ravel(),
            self.tracks.means,
            track,
            training.threads,
        )
        mean, _ = mean_and_slope(logit.reshape(interest.shape))
        variance = training.dispersion * mean * (1 - mean) + ROUNDING
        off = heard.time[response][:, None] - mean
        log = -(off**2 / variance + np.log(variance)) / 2
        density = np.exp(log - log.max(axis=1, keepdims=True))
        return mean.astype(np.float32), density.astype(np.float32)


def _deviance(mean: AnyFloatArray, time: AnyFloatArray) -> float:
    """Return the deviance of shares heard by a Bernoulli likelihood."""
    mean = np.clip(mean.astype(np.float64), _LEAST, 1 - _LEAST)
    heard = time * np.log(mean)
    missed = (1 - time) * np.log1p(-mean)
    return -2 * float(np.sum(heard + missed))
