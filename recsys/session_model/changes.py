"""Interests that change within a session: a hidden Markov model over the interests of the session's listener.

Before each recommended track, with the probability h, the session's interest is drawn anew from the
listener's, each as likely as it has opened sessions. Which one a session follows is filtered
forward and smoothed backward (Rabiner, "A tutorial on hidden Markov models", 1989, III), by normal
densities of the shares.
"""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import AnyFloatArray, Float32Array, Int32Array, IntArray
from recsys.session_model.likelihood import mean_and_slope
from recsys.session_model.ridge import Vectors, paired_dots, variances_along
from recsys.session_model.training import WORTH_IT, Training

_OTHERS = (
    5  # interests of a listener that a session may change to: those with most openings
)
_PROBABILITIES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_SESSIONS = 20_000  # at once
_LONGEST = 32  # responses of a session that count
_ROUNDS = 3
_LEAST = 1e-6


@dataclass(frozen=True)
class Chains:
    """Some sessions, and how well each of c interests explains each of their responses."""

    response: IntArray  # (responses,), session after session
    session: IntArray  # (responses,)
    places: list[IntArray]  # for each place in a session, the responses at it
    candidates: Int32Array  # (sessions, c); that of the opening is the first
    usual: Float32Array  # (sessions, c), the chance of each when it is drawn anew
    mean: Float32Array  # (responses, c), the share expected of each interest
    density: (
        Float32Array  # (responses, c), of the share heard, up to a factor a response
    )

    def follow(
        self, change: float, doubt: float = 0.0
    ) -> tuple[Float32Array, Float32Array]:
        """Return the chance of each interest before and after each response is known, given the earlier ones.

        With the probability `doubt` a session follows another interest than that of its opening
        from the start.
        """
        now = np.float32(doubt) * self.usual
        now[:, 0] += np.float32(1 - doubt)
        before, after = np.empty_like(self.mean), np.empty_like(self.mean)
        for rows in self.places:
            session = self.session[rows]
            before[rows] = (1 - change) * now[session] + change * self.usual[session]
            joint = before[rows] * self.density[rows] + np.float32(1e-30)
            now[session] = after[rows] = joint / joint.sum(axis=1, keepdims=True)
        return before, after

    def predict(
        self, responses: IntArray, change: float, doubt: float = 0.0
    ) -> Float32Array:
        """Predict the share heard of some responses, given the earlier ones of their sessions."""
        before, _ = self.follow(change, doubt)
        predicted: Float32Array = (before[responses] * self.mean[responses]).sum(axis=1)
        return predicted

    def smooth(self, change: float) -> Float32Array:
        """Return the chance of each interest at each response, given the whole session."""
        before, chance = self.follow(change)
        for here, later in zip(self.places[-2::-1], self.places[:0:-1], strict=True):
            # of the sessions that go on
            rows = here[np.isin(self.session[here], self.session[later])]
            ratio = chance[later] / np.maximum(before[later], 1e-30)
            anew = (self.usual[self.session[later]] * ratio).sum(axis=1, keepdims=True)
            chance[rows] *= (1 - change) * ratio + change * anew
        return chance


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
        self.training, self.tracks, self.interests = (
            training,
            tracks.with_constant(),
            interests,
        )
        self.interest_of, self.openings = interest_of, np.bincount(interest_of)
        heard, fresh = training.responses, training.fresh
        opening, before = heard.opening[fresh], heard.before[fresh]
        is_first = np.append(
            True, (opening[1:] != opening[:-1]) | (before[1:] <= before[:-1])
        )
        self.starts = np.append(np.flatnonzero(is_first), len(fresh))
        self.most_opened = self._most_opened()
        self.variances = (
            variances_along(self.tracks.means, interests.covariance),
            variances_along(interests.means, self.tracks.covariance),
        )

    def find(self) -> float:
        """Find the probability of a change with which held-out responses are predicted best; set the dispersion.

        It is 0 unless the deviance is lower, by more than by chance, than without changes, where
        some openings may be of other interests than the grouping says.
        """
        heard = self.training.responses
        is_held_out = np.zeros(len(heard), dtype=bool)
        is_held_out[self.training.held_out] = True
        per_session = np.add.reduceat(
            is_held_out[self.training.fresh], self.starts[:-1]
        )
        sessions = np.flatnonzero((per_session > 0) & (np.diff(self.starts) > 1))
        best, of_unchanged = 0.0, self.training.dispersion
        for _ in range(_ROUNDS):
            chains = self._chains(sessions[:: 1 + len(sessions) // _SESSIONS])
            target = np.flatnonzero(is_held_out[chains.response])
            time = heard.time[chains.response[target]]
            before = best
            deviances = {
                change: _deviance(chains.predict(target, change), time)
                for change in _PROBABILITIES
            }
            best = min(deviances, key=lambda change: (deviances[change], change))
            unchanged = min(
                _deviance(chains.predict(target, 0.0, doubt), time)
                for doubt in _PROBABILITIES
            )
            still = chains.predict(target, 0.0)
            by_chance = float(np.sum((time - still) ** 2)) / max(
                float(np.sum(still * (1 - still))), _LEAST
            )
            if unchanged - deviances[best] <= WORTH_IT * by_chance:
                self.training.dispersion = of_unchanged
                return 0.0
            self._measure(chains, target, chains.follow(best)[0][target], time)
            if best == before:
                break
        return best

    def assign(self, change: float) -> Int32Array:
        """Return the likeliest interest of each response that is learned from."""
        heard = self.training.responses
        likeliest = self.interest_of[heard.opening]
        for first in range(0, len(self.starts) - 1, _SESSIONS):
            chains = self._chains(
                np.arange(first, min(first + _SESSIONS, len(self.starts) - 1))
            )
            which = chains.smooth(change).argmax(axis=1)
            likeliest[chains.response] = chains.candidates[chains.session, which]
        return likeliest[self.training.kept]

    def _measure(
        self, chains: Chains, target: IntArray, chance: Float32Array, time: Float32Array
    ) -> None:
        """Measure the dispersion about a mixture of interests, whose spread is no noise."""
        training, mean = self.training, chains.mean[target]
        track = training.responses.track[chains.response[target]]
        interest = chains.candidates[chains.session[target]]
        expected = (chance * mean).sum(axis=1)
        off = (mean * (1 - mean)) ** 2 * (
            self.variances[0][track][:, None] + self.variances[1][interest]
        )
        known = (chance * ((mean - expected[:, None]) ** 2 + off)).sum(
            axis=1
        ) + training.step**2 / 12
        noise = (chance * mean * (1 - mean)).sum()
        training.dispersion = max(
            1e-4, float(np.sum((time - expected) ** 2 - known) / noise)
        )

    def _most_opened(self) -> Int32Array:
        """Return the interests of each listener with most openings, (listeners, _OTHERS), -1 where there are fewer."""
        heard = self.training.responses
        owner = np.empty(len(self.openings), dtype=np.int64)
        owner[self.interest_of] = heard.listener
        order = np.lexsort((-self.openings, owner))
        place = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        table = np.full((len(heard.users), _OTHERS), -1, dtype=np.int32)
        order, place = order[place < _OTHERS], place[place < _OTHERS]
        table[owner[order], place] = order
        return table

    def _chains(self, sessions: IntArray) -> Chains:
        training, heard = self.training, self.training.responses
        counts = np.minimum(np.diff(self.starts)[sessions], _LONGEST)
        session = np.repeat(np.arange(len(sessions)), counts)
        place = np.arange(len(session)) - np.repeat(np.cumsum(counts) - counts, counts)
        response = training.fresh[self.starts[sessions][session] + place]
        opening = heard.opening[training.fresh[self.starts[sessions]]]
        own, others = (
            self.interest_of[opening][:, None],
            self.most_opened[heard.listener[opening]],
        )
        candidates = np.hstack([own, others])
        is_one = np.hstack([own >= 0, (others >= 0) & (others != own)])
        usual = np.where(is_one, self.openings[candidates], 0)
        usual = (usual / usual.sum(axis=1, keepdims=True)).astype(np.float32)
        mean, density = self._explain(response, candidates[session])
        density *= is_one[session]
        places = [
            np.flatnonzero(place == at) for at in range(int(counts.max(initial=0)))
        ]
        return Chains(response, session, places, candidates, usual, mean, density)

    def _explain(
        self, response: IntArray, interest: Int32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Return the mean share, and the density of the share heard, by each of some interests (responses, c)."""
        training, track = self.training, self.training.responses.track[response]
        of_pair = np.repeat(track, interest.shape[1])
        logit = paired_dots(
            self.interests.means,
            interest.ravel(),
            self.tracks.means,
            of_pair,
            training.threads,
        )
        mean, slope = mean_and_slope(
            logit.reshape(interest.shape), np.reshape(training.rest(response), (-1, 1))
        )
        variance = training.dispersion * mean * (1 - mean) + training.step**2 / 12
        variance += slope**2 * (
            self.variances[0][track][:, None] + self.variances[1][interest]
        )
        log = (
            -((training.responses.time[response][:, None] - mean) ** 2) / (2 * variance)
            - np.log(variance) / 2
        )
        return mean.astype(np.float32), np.exp(
            log - log.max(axis=1, keepdims=True)
        ).astype(np.float32)


def _deviance(mean: AnyFloatArray, time: AnyFloatArray) -> float:
    mean = np.clip(mean.astype(np.float64), _LEAST, 1 - _LEAST)
    return -2 * float(np.sum(time * np.log(mean) + (1 - time) * np.log1p(-mean)))
