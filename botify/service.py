"""What the service does with a request: session, arms, recommendation, event log, in this order.

An answer is given only after its event is in the log. The session is brought up to date before that, so a request
whose event could not be written, and that is sent again, finds its track in the session twice and nothing else.
"""

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from botify.bodies import Heard
from botify.event_log import SegmentWriter, event_line
from botify.experiments import Experiment, assignments
from botify.metrics import Metrics
from botify.models import Model
from botify.recommenders import Chains, Drawn, Row, recommend
from botify.sessions import SessionStore
from botify.settings import Settings
from botify.versions import Versions


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
        tracks: list[int] = []
        lines: list[bytes] = []
        for part in _each_listener_once(requests):
            some_tracks, some_lines = self._next_part(model, part, start)
            tracks += some_tracks
            lines += some_lines
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
        states = self.store.end([(request.user, request.track, request.time) for request in requests], now_ms)
        latency_s = time.perf_counter() - start
        self._write(
            [
                event_line(
                    message="last",
                    timestamp=now_ms,
                    user=request.user,
                    track=request.track,
                    time=request.time,
                    latency=latency_s,
                    experiments=assignments(self.experiments, request.user),
                    session=state.session if state else None,
                    recommendation=None,
                    recommender=None,
                    propensity=None,
                )
                for request, state in zip(requests, states, strict=True)
            ]
        )
        self._last_events.inc(len(requests))
        self.metrics.last_latency.observe(time.perf_counter() - start)

    def _next_part(self, model: Model, requests: Sequence[Heard], start: float) -> tuple[list[int], list[bytes]]:
        """The next tracks of listeners who are all different, and the lines of the event log."""
        now_ms = time.time_ns() // 1_000_000
        states = self.store.hear(requests, now_ms)
        arms = [assignments(self.experiments, request.user) for request in requests]
        batch = [
            Row(request.user, state.tracks, state.times, frozenset(state.tracks + state.pending))
            if state
            else Row(request.user, (request.track,), (request.time,), {request.track})
            for request, state in zip(requests, states, strict=True)
        ]
        names = [self._recommender_of_arm[arm[self._decides]] for arm in arms]
        users = [request.user for request in requests]
        answers: list[tuple[str, Drawn]] = []
        try:
            answers = recommend(model, batch, names, self._chains, self._rng)
        finally:
            given: list[int | None] = [drawn.track for _, drawn in answers]
            given = given or [None] * len(users)
            is_ours = self.store.settle(users, states, given)
        if not is_ours:
            raise LateError("the session went on without this request, which took too long; ask again")
        latency_s = time.perf_counter() - start
        lines = [
            event_line(
                message="next",
                timestamp=now_ms,
                user=request.user,
                track=request.track,
                time=request.time,
                latency=latency_s,
                experiments=arm,
                session=state.session if state else None,
                recommendation=drawn.track,
                recommender=name,
                propensity=drawn.propensity,
            )
            for request, state, arm, (name, drawn) in zip(requests, states, arms, answers, strict=True)
        ]
        self._count(states, answers)
        return [drawn.track for _, drawn in answers], lines

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


def _each_listener_once(requests: Sequence[Heard]) -> list[list[Heard]]:
    """Splits a batch so that a listener's second request sees what the first was given."""
    if len(requests) == 1 or len({request.user for request in requests}) == len(requests):
        return [list(requests)]
    return [[request] for request in requests]
