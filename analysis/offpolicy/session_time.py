"""The listening time of a session, had a policy been served: sessions that suit it grow longer.

Where sessions end by a budget of what is not heard (an experiment's report tests it,
`analysis.ab.parts.data_quality`), Σ (1 - share) over a session's recommendations is the same, B,
for every policy, on average (Wald's identity). So

- from the share s of a recommended track the time is organic + B s / (1 - s). From the share that
  was *served* this is exact; the off-policy share weighs sessions as the *logged* policy made them,
  too low for what suits some well;
- session by session, a reward model (`share_model`) predicts the share of every track that the
  policy would serve, the session runs forward until its listener's budget is used up, by one with
  the chance that a track is not heard, and the mean over sessions is corrected by what was heard
  where the log happens to have played one of these tracks.

The correction is targeted maximum likelihood (van der Laan & Rubin, Targeted Maximum Likelihood
Learning, 2006): the logits of the shares are shifted and stretched until their weighted errors
vanish. The weights are w times how much the time of the session grows with the share, the
estimate's influence function (for the time as a smooth function of the mean share: Chernozhukov et
al., Double/Debiased Machine Learning, 2018). It is doubly robust to first order: errors of the
model count by their square. The model of a session is fitted on other sessions alone. A list that
is used up is followed by what the listener was logged to hear.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from analysis.offpolicy.logged import LoggedSessions, earlier_equal
from analysis.offpolicy.policies import Lists, Policy, Serving
from analysis.offpolicy.share_model import Requests, ShareModel
from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from analysis.validation import NO_TRACK
from looplib.arrays import BoolArray, FloatArray, IntArray
from looplib.randomness import make_generator

_PRIOR_SESSIONS = 20.0  # everybody's, that count beside a listener's own
_RIDGES = (1.0, 2.0, 4.0)  # of which the deviance of what was not fitted chooses
_CHUNK = 20_000  # sessions that are run forward at a time
_STEPS = 12  # of Newton's method
_STIFFNESS = 0.01  # how strongly the stretch of logits is held at 1
_MOST_SHARE = 0.98
_PAIRED = (
    6  # tracks this far apart, at most, say together what their session has of its own
)


@dataclass(frozen=True)
class SessionTime:
    """Mean listening time of a session under a policy, in tracks, the organic one included."""

    identity: Interval  # from the off-policy share of a recommended track
    simulated: Interval  # session by session, doubly robust


class Artists(NamedTuple):
    """Who made the tracks of a catalogue; both of shape (tracks,)."""

    tracks: IntArray  # ids, ascending
    artists: IntArray  # a number for each artist, -1 where it is not known


NO_ARTISTS = Artists(np.array([], dtype=np.int64), np.array([], dtype=np.int64))


class _Forward(NamedTuple):
    time: FloatArray  # expected listening time of the recommendations of each session
    slope: FloatArray  # by how much it grows with the share of all its tracks


class SessionTimes:
    """Estimates the time of sessions; the share models are fitted once for all policies."""

    def __init__(
        self,
        sessions: LoggedSessions,
        others: LoggedSessions | None,
        artists: Artists,
        resamples: bootstrap.Resamples,
    ) -> None:
        """Fit the share models: for each half of the sessions on the other half and all other sessions.

        Policies are valued on `sessions` alone; the seed of their resamples decides the fits and
        the order of served lists too. Tracks of no known artist do not wear each other out.
        """
        self._sessions, self._artists, self._resamples = sessions, artists, resamples
        self._starts = np.flatnonzero(~sessions.is_outcome)
        self._session = np.searchsorted(self._starts, sessions.first)  # of each event
        learned = [sessions] if others is None else [sessions, others]
        self._tracks = np.unique(np.concatenate([part.track for part in learned]))
        self._listeners = np.unique(np.concatenate([part.users for part in learned]))
        requests = [self._requests(part) for part in learned]
        self._logged = requests[0]
        self._models = self._fit(learned, requests)
        self._measure()
        self._variance = self._session_variance()

    @property
    def logged(self) -> Interval:
        """The mean time of a session as it was logged."""
        times = (self._organic + self._heard)[:, np.newaxis]
        return bootstrap.ratio_intervals(
            self._resamples, times, self._count[:, np.newaxis]
        )[0]

    def estimate(self, lists: Lists, policy: Policy, serving: Serving) -> SessionTime:
        """Estimate the time of a session when lists are served."""
        sessions = self._sessions
        hits = np.flatnonzero((policy.probability > 0) & sessions.counted)
        session, time = self._session[hits], sessions.time[hits]
        weight = policy.probability[hits] / sessions.propensity[hits]
        logit, wear, _ = self._predict(self._logged.at(hits), session)
        first = self._forward(lists, serving, (0.0, 1.0))
        target = _target(
            logit, wear, time, weight * (first.slope / self._length)[session]
        )
        found = self._forward(lists, serving, target)
        errors = time - wear * expit(target[0] + target[1] * logit)
        corrected = weight * errors * (found.slope / self._length)[session]
        recommended = found.time + np.bincount(session, corrected, len(found.time))
        total = self._organic + self._by_listener(self._starts, recommended)
        times, weights = (
            self._by_listener(hits, weight * time),
            self._by_listener(hits, weight),
        )
        numerators = [total, self._organic, self._unheard, times]
        denominators = [self._count, self._count, self._count, weights]

        def combine(found: FloatArray) -> FloatArray:
            simulated, organic, budget, share = found.T
            share = np.minimum(share, _MOST_SHARE)
            return np.column_stack([organic + budget * share / (1 - share), simulated])

        identity, simulated = bootstrap.ratio_intervals(
            self._resamples,
            np.column_stack(numerators),
            np.column_stack(denominators),
            combine,
        )
        return SessionTime(identity, simulated)

    def _fit(
        self, learned: Sequence[LoggedSessions], requests: Sequence[Requests]
    ) -> list[ShareModel]:
        """Fit the share model of each half of the sessions; the first half chooses the ridge."""
        fresh = np.concatenate([part.is_outcome & part.is_fresh for part in learned])
        together = Requests(
            *map(
                np.concatenate,
                zip(*(vars(part).values() for part in requests), strict=True),
            )
        )
        share = np.concatenate([part.time for part in learned])
        half = np.full(len(share), -1)
        half[: len(self._session)] = self._session % 2

        def fit(number: int, ridge: float) -> ShareModel:
            rows = np.flatnonzero(fresh & (half != number))
            model = ShareModel(
                len(self._listeners),
                len(self._tracks),
                ridge=ridge,
                seed=self._resamples.seed,
            )
            return model.fit(together.at(rows), share[rows])

        first = {ridge: fit(0, ridge) for ridge in _RIDGES}
        rows = np.flatnonzero(fresh & (half == 0))
        best = (
            min(
                first,
                key=lambda ridge: first[ridge].deviance(together.at(rows), share[rows]),
            )
            if len(rows)
            else 1.0
        )
        return [first[best], fit(1, best)]

    def _measure(self) -> None:
        """Sum up listeners; a session's budget, length and fallback are its listener's, drawn towards everybody's."""
        sessions = self._sessions
        outcomes = np.flatnonzero(sessions.is_outcome)
        self._count = self._by_listener(self._starts, np.ones(len(self._starts)))
        self._organic = self._by_listener(self._starts, sessions.time[self._starts])
        self._heard = self._by_listener(outcomes, sessions.time[outcomes])
        length = self._by_listener(outcomes, np.ones(len(outcomes)))
        self._unheard = length - self._heard
        own, prior = (
            sessions.listener[self._starts],
            _PRIOR_SESSIONS / self._count.sum(),
        )
        self._length, self._budget, heard = (
            ((sums + prior * sums.sum()) / (self._count + _PRIOR_SESSIONS))[own]
            for sums in (length, self._unheard, self._heard)
        )
        self._fallback = np.minimum(heard / self._length, _MOST_SHARE)

    def _by_listener(self, events: IntArray, values: FloatArray) -> FloatArray:
        """Sum values of events over each listener, shape (listeners,)."""
        listeners = len(self._sessions.users)
        return np.bincount(self._sessions.listener[events], values, listeners).astype(
            np.float64
        )

    def _requests(self, part: LoggedSessions) -> Requests:
        """Describe every event of sessions as the model knows it."""
        track = _index(self._tracks, part.track)
        artist = np.append(self._artists.artists, -1)[
            _index(self._artists.tracks, part.track)
        ]
        opener = artist[part.first]
        position = np.maximum(np.arange(len(part.first)) - part.first - 1, 0)
        earlier = np.where(artist >= 0, earlier_equal(part.first, artist), 0)
        same = ((artist == opener) & (artist >= 0)).astype(np.float64)
        listener = _index(self._listeners, part.users)[part.listener]
        return Requests(listener, track[part.first], track, same, earlier, position)

    def _session_variance(self) -> float:
        """Return the variance of what a session's context has beside its opening track's and its listener's.

        For its sake the shares of a session miss their predictions together: the products of the
        errors of two are regressed on what a variance of 1 makes of them, the method of moments.
        """
        rows = np.flatnonzero(self._sessions.is_outcome & self._sessions.is_fresh)
        session = self._session[rows]
        logit, wear, moves = self._predict(self._logged.at(rows), session)
        mean = expit(logit)
        errors, moves = (
            self._sessions.time[rows] - wear * mean,
            (wear * mean * (1 - mean))[:, np.newaxis] * moves,
        )
        found, most = 0.0, 1e-9
        for apart in range(1, _PAIRED + 1):
            first = np.flatnonzero(session[apart:] == session[:-apart])
            second = first + apart
            alike = np.vecdot(moves[first], moves[second])
            found += float(alike @ (errors[first] * errors[second]))
            most += float(alike @ alike)
        return max(found / most, 0.0)

    def _predict(
        self, requests: Requests, session: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return logits of fresh shares, wear, and moves, by the models that have not seen the requests' sessions."""
        even = session % 2 == 0
        logit = np.where(even, *(model.logit(requests) for model in self._models))
        wear = np.where(
            even,
            *(
                model.wear(requests.earlier, requests.position)
                for model in self._models
            ),
        )
        return (
            logit,
            wear,
            np.where(
                even[:, np.newaxis], *(model.moves(requests) for model in self._models)
            ),
        )

    def _forward(
        self, lists: Lists, serving: Serving, target: tuple[float, float]
    ) -> _Forward:
        """Run every session forward, the logits of its shares shifted and stretched."""
        parts = []
        for number, begin in enumerate(range(0, len(self._starts), _CHUNK)):
            chunk = np.arange(begin, min(begin + _CHUNK, len(self._starts)))
            start = self._starts[chunk]
            tracks = lists.tracks[self._sessions.listener[start]]
            listed = (tracks != NO_TRACK) & (
                tracks != self._sessions.track[start, np.newaxis]
            )
            rank = np.where(listed, 0.0, 2.0)
            if serving == "random":
                rank += make_generator(
                    self._resamples.seed, "session time", number
                ).random(rank.shape)
            order = np.argsort(rank, axis=1, kind="stable")
            tracks, listed = (
                np.take_along_axis(table, order, axis=1) for table in (tracks, listed)
            )
            predicted = self._predict(
                self._would_be(tracks, chunk), np.repeat(chunk, tracks.shape[1])
            )
            logit, wear, moves = (
                values.reshape((*tracks.shape, *values.shape[1:]))
                for values in predicted
            )
            shares = self._draw_shares(target[0] + target[1] * logit, moves, number)
            parts.append(
                _spend(
                    shares,
                    wear * listed,
                    listed,
                    self._budget[chunk],
                    self._fallback[chunk],
                )
            )
        return _Forward(*map(np.concatenate, zip(*parts, strict=True)))

    def _draw_shares(
        self, logit: FloatArray, moves: FloatArray, number: int
    ) -> FloatArray:
        """Draw what every session's own context makes of its shares, of mean expit(logit); shape (sessions, tracks).

        The mean of expit(x) over a normal x is about expit(mean / sqrt(1 + pi / 8 variance))
        (MacKay, The Evidence Framework Applied to Classification Networks, 1992).
        """
        rng = make_generator(self._resamples.seed, "session context", number)
        own = self._variance**0.5 * rng.standard_normal((len(logit), moves.shape[2], 1))
        variance = self._variance * np.vecdot(moves, moves)
        shares: FloatArray = expit(
            logit * np.sqrt(1 + np.pi / 8 * variance) + (moves @ own)[..., 0]
        )
        return shares

    def _would_be(self, tracks: IntArray, chunk: IntArray) -> Requests:
        """Describe the requests of sessions that hear these tracks in this order, shape (sessions * tracks,)."""
        start, length = self._starts[chunk], tracks.shape[1] + 1
        first = np.repeat(np.arange(len(start)) * length, length)
        listener = np.repeat(self._sessions.listener[start], length)
        heard = np.column_stack([self._sessions.track[start], tracks]).ravel()
        sessions = replace(self._sessions, listener=listener, first=first, track=heard)
        return self._requests(sessions).at(np.flatnonzero(sessions.is_outcome))


def _spend(
    shares: FloatArray,
    wear: FloatArray,
    listed: BoolArray,
    budget: FloatArray,
    rest: FloatArray,
) -> _Forward:
    """Run sessions along rows of shares until their budgets are used up, in expectation; then fall back to `rest`.

    A track uses up one of the budget with the chance that it is not heard; a budget is a whole
    number next to it.
    """
    whole, rows = np.floor(budget).astype(np.int64), np.arange(len(budget))
    # chance that so much of the budget is left
    left = np.zeros((len(budget), int(whole.max()) + 2))
    left[rows, whole + 1], left[rows, whole] = budget - whole, 1 - (budget - whole)
    left[:, 0] = 0.0  # it is used up, and the session over
    heard = np.where(listed, shares * wear, 1.0)  # what is not listed uses up nothing
    played, time, slope = np.zeros((3, len(budget)))
    for column in range(shares.shape[1]):
        chance = left.sum(axis=1) * listed[:, column]
        played += chance
        time += chance * heard[:, column]
        slope += chance * wear[:, column]
        lost = left * (1 - heard[:, column, np.newaxis])
        left -= lost
        left[:, 1:-1] += lost[:, 2:]
    used_up = left.sum(axis=1)
    mean = np.divide(time, played, out=np.zeros_like(time), where=played > 0)
    next_share = np.minimum(used_up * rest + (1 - used_up) * mean, _MOST_SHARE)
    later = left @ np.arange(left.shape[1]) * rest / (1 - rest)
    return _Forward(time + later, slope / (1 - next_share))


def _target(
    logit: FloatArray, wear: FloatArray, time: FloatArray, weight: FloatArray
) -> tuple[float, float]:
    """Return the shift and the stretch of logits after which the weighted errors vanish."""
    found, total = np.array([0.0, 1.0]), float(weight.sum())
    if not total:
        return 0.0, 1.0
    columns = np.stack([np.ones_like(logit), logit])
    held = np.diag([1e-6, _STIFFNESS]) * total
    for _ in range(_STEPS):
        fresh = expit(found @ columns)
        slope = columns @ (weight * (time - wear * fresh)) - held @ (found - [0.0, 1.0])
        found = found + np.linalg.solve(
            (columns * weight * wear * fresh * (1 - fresh)) @ columns.T + held, slope
        )
    return float(found[0]), float(found[1])


def _index(known: IntArray, wanted: IntArray) -> IntArray:
    """Return the index of each wanted id, and one beyond the last for those that are not known."""
    index = np.searchsorted(known, wanted)
    return np.where(np.append(known, -1)[index] == wanted, index, len(known))
