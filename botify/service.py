"""What the service does with a request: session, arms, recommendation, event log, in this order.

An answer is given only after its event is in the log. The session is brought up to date before that, so a request
whose event could not be written, and that is sent again, finds its track in the session twice and nothing else.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from botify.event_log import SegmentWriter, event_lines
from botify.experiments import Assignments, Experiment
from botify.metrics import Metrics
from botify.model.model import Model
from botify.model.versions import Versions
from botify.recommenders import Chains, Drawn, Row, recommend
from botify.schemas import Heard
from botify.sessions.local import Heard as Session
from botify.sessions.local import SessionStore
from botify.settings import Settings


class LateError(Exception):
    """A request that took so long that another of its listener was answered meanwhile."""


class Service:
    """The service of one process."""

    def __init__(
        self,
        settings: Settings,
        versions: Versions,
        experiments: tuple[Experiment, ...],
        store: SessionStore,
        log: SegmentWriter,
        metrics: Metrics,
        rng: np.random.Generator,
    ) -> None:
        """Puts the parts together.

        Args:
            settings: The configuration.
            versions: The recommendations.
            experiments: All that run.
            store: The sessions.
            log: The event log.
            metrics: What is counted.
            rng: Generator of the draws.
        """
        self.settings, self.versions, self.experiments = settings, versions, experiments
        self.store, self.log, self.metrics = store, log, metrics
        self.tracks = len(versions.model.catalogue)
        self._rng = rng
        self._assignments = Assignments(experiments)
        self._chains = Chains.of(settings.fallback)
        (decides,) = [experiment for experiment in experiments if experiment.name == settings.decides]
        self._decides = decides.name
        self._recommender_of_arm = {arm.name: arm.recommender for arm in decides.arms}
        self._recommended = {name: metrics.recommendations.labels(name) for name in (*settings.recommenders, "repeat")}
        self._next_events, self._last_events = metrics.events.labels("next"), metrics.events.labels("last")

    def next(self, requests: Sequence[Heard]) -> list[int]:
        """The next track for each listener, who may be named several times.

        Raises:
            OSError: The events could not be written; none of the requests is acknowledged.
            LateError: It took too long; none of the requests is acknowledged.
        """
        start = time.perf_counter()
        model = self.versions.model
        rounds = _rounds(requests)
        if len(rounds) == 1:
            tracks, lines = self._next_round(model, requests, start)
        else:
            tracks, lines = [0] * len(requests), [b""] * len(requests)
            for places in rounds:
                answers = self._next_round(model, [requests[place] for place in places], start)
                for place, track, line in zip(places, *answers, strict=True):
                    tracks[place], lines[place] = track, line
        self._write(lines)
        self._next_events.inc(len(lines))
        self.metrics.next_latency.observe(time.perf_counter() - start)
        return tracks

    def last(self, requests: Sequence[Heard]) -> None:
        """Ends the session of each listener.

        Raises:
            OSError: The events could not be written; none of the requests is acknowledged.
        """
        start = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        states = self.store.end(requests, now_ms)
        arms = self._assignments.of([user for user, _, _ in requests])
        outcomes = ((state and state.session, arm, None, None, None) for state, arm in zip(states, arms, strict=True))
        self._write(event_lines("last", now_ms, time.perf_counter() - start, requests, outcomes))
        self._last_events.inc(len(requests))
        self.metrics.last_latency.observe(time.perf_counter() - start)

    def arms_of(self, users: Sequence[int]) -> list[Mapping[str, str]]:
        """Each listener's arm by experiment, as the event log has it; nothing is logged."""
        return self._assignments.of(users)

    def _next_round(self, model: Model, requests: Sequence[Heard], start: float) -> tuple[list[int], list[bytes]]:
        """The next tracks of listeners who are all different, and the lines of the event log."""
        now_ms = time.time_ns() // 1_000_000
        users = [user for user, _, _ in requests]
        states = self.store.hear(requests, now_ms)
        arms = self._assignments.of(users)
        answers: list[tuple[str, Drawn]] = []
        try:
            names = [self._recommender_of_arm[arm[self._decides]] for arm in arms]
            answers = recommend(model, _batch(requests, states), names, self._chains, self._rng)
        finally:
            given: list[int | None] = [drawn.track for _, drawn in answers]
            is_ours = self.store.settle(users, states, given or [None] * len(users))
        if not is_ours:
            raise LateError("the session went on without this request, which took too long; ask again")
        outcomes = (
            (state and state.session, arm, track, name, propensity)
            for state, arm, (name, (track, propensity)) in zip(states, arms, answers, strict=True)
        )
        self._count(states, answers)
        latency_s = time.perf_counter() - start
        return [drawn.track for _, drawn in answers], event_lines("next", now_ms, latency_s, requests, outcomes)

    def _count(self, states: Sequence[object], answers: Sequence[tuple[str, Drawn]]) -> None:
        if None in states:
            self.metrics.without_memory.inc(states.count(None))
        for name, times in Counter(name for name, _ in answers).items() if len(answers) > 1 else [(answers[0][0], 1)]:
            self._recommended[name].inc(times)

    def _write(self, lines: list[bytes]) -> None:
        try:
            self.log.append(b"".join(lines) if len(lines) > 1 else lines[0])
        except OSError:
            self.metrics.log_failures.inc()
            raise

    def close(self) -> None:
        """Ends the watching and closes the event log's segment; no request may come after."""
        self.versions.close()
        self.log.close()


def _batch(requests: Sequence[Heard], states: Sequence[Session | None]) -> list[Row]:
    """What recommenders get; while the session store is down, a session is the track just heard."""
    return [
        Row(user, state.tracks, state.times, state.tracks + state.pending)
        if state
        else Row(user, (track,), (share,), (track,))
        for (user, track, share), state in zip(requests, states, strict=True)
    ]


def _rounds(requests: Sequence[Heard]) -> list[list[int]]:
    """Places of a batch's requests, so that a listener's second request comes after the answer to the first."""
    if len(requests) == 1 or len({user for user, _, _ in requests}) == len(requests):
        return [list(range(len(requests)))]
    rounds: list[list[int]] = []
    turns: Counter[int] = Counter()
    for place, (user, _, _) in enumerate(requests):
        if turns[user] == len(rounds):
            rounds.append([])
        rounds[turns[user]].append(place)
        turns[user] += 1
    return rounds
