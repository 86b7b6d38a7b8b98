"""What the service does with a request: session, arms, recommendation, event log, in this order.

An answer is given only after its event is in the log. The session is brought up to date before
that, so a request whose event could not be written, and that is sent again, finds its track in the
session twice and nothing else.
"""

import logging
import os
import socket
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat

import numpy as np

from botify.event_log import Message, SegmentWriter, event_lines
from botify.metrics import Metrics
from botify.model.catalogue import Id, load_catalogue, user_number
from botify.model.loading import load_model, no_model
from botify.model.model import Model
from botify.model.versions import Versions
from botify.recommenders.base import Drawn, Row
from botify.recommenders.registry import REPEAT, recommend
from botify.schemas import Bodies, Listening, Numbers
from botify.sessions.answers import (
    ENDED,
    LATE_S,
    LocalAnswers,
    RedisAnswers,
    logged_answers,
)
from botify.sessions.local import LocalSessions, Session
from botify.sessions.redis import RedisSessions
from botify.settings import Settings
from looplib.randomness import make_generator

logger = logging.getLogger("botify")


def load_configured(settings: Settings) -> Model:
    """Load the catalogue and the current version that the settings name.

    Raises:
        CatalogueError: The catalogue cannot be read.
        ModelError: The version is not what its manifest says, or does not fit.
    """
    catalogue = load_catalogue(settings.catalogue)
    text_users = settings.text_users
    if settings.recommendations is None:
        return no_model(catalogue, text_users=text_users)
    parts = settings.parts
    return load_model(settings.recommendations, catalogue, parts, text_users=text_users)


class LateError(Exception):
    """A request that took so long that another one of its listener was answered meanwhile."""


class Service:
    """The service of one process. Make it in that process, not before a fork."""

    def __init__(self, settings: Settings, model: Model) -> None:
        """Put the parts of one process together, and start to watch for new versions.

        Raises:
            ConfigError: The URL of Redis is none.
            OSError: The event log's folder cannot be written.
        """
        self.settings, self.metrics = settings, Metrics()
        self.versions = Versions(
            settings.recommendations,
            model,
            settings.parts,
            self.metrics,
            watch_s=settings.watch_s,
            on_load=self._note_lacking,
        )
        self.bodies = Bodies(
            model.catalogue, settings.batch_limit, text_users=model.text_users
        )
        read_log = partial(logged_answers, settings.log_dir, model.catalogue)
        silence_s = settings.session_silence_s
        self.store: LocalSessions | RedisSessions
        self.answers: LocalAnswers | RedisAnswers
        if settings.redis_url:
            url = settings.redis_url.get_secret_value()
            prefix = f"botify:{model.catalogue.sha256[:12] + ':' if model.catalogue.numbers else ''}"
            self.store = RedisSessions(
                url, prefix, silence_s=silence_s, timeout_s=settings.redis_timeout_s
            )
            self.answers = RedisAnswers(self.store.call, prefix, read_log, silence_s)
        else:
            self.store, self.answers = (
                LocalSessions(silence_s=silence_s),
                LocalAnswers(read_log, silence_s),
            )
        process, seed = os.getpid(), settings.seed
        self._rng = (
            np.random.default_rng()
            if seed is None
            else make_generator(seed, "serve", process)
        )
        self._experiment_names = [
            experiment.name for experiment in settings.experiments
        ]
        # listeners with the same arms share a mapping
        self._shared_arms: dict[tuple[str, ...], Mapping[str, str]] = {}
        self._recommender_of_arm = {
            arm.name: arm.recommender for arm in settings.deciding.arms
        }
        counter = self.metrics.recommendations
        self._recommended = {
            name: counter.labels(name) for name in (*settings.recommenders, REPEAT)
        }
        self.log = SegmentWriter(
            settings.log_dir, settings.event_log, f"{socket.gethostname()}-{process}"
        )
        self.versions.watch()

    def answer(
        self, message: Message, requests: Sequence[Listening], numbers: Numbers = ()
    ) -> list[int]:
        """Recommend the next track to each listener, who may be named several times, or end their sessions.

        A request whose number was answered before gets that answer, and no event.

        Returns:
            The tracks; `ENDED` in place of each on `last`.

        Raises:
            OSError: The events could not be written; none of the requests is acknowledged.
            LateError: It took too long; none of the requests is acknowledged.
            AnswersError: It is unknown whether a numbered request was answered before; none is
                acknowledged.
        """
        if not numbers:
            return self._answer_new(message, requests, ())
        keys = {
            i: (message, requests[i][0], number)
            for i, number in enumerate(numbers)
            if number is not None
        }
        earlier = zip(keys, self.answers.claim(list(keys.values())), strict=True)
        answered = {i: known for i, known in earlier if known is not None}
        new = [i for i in range(len(requests)) if i not in answered]
        claimed = [keys[i] for i in new if i in keys]
        try:
            answers = (
                self._answer_new(
                    message, [requests[i] for i in new], [numbers[i] for i in new]
                )
                if new
                else []
            )
        except BaseException:
            self.answers.release(claimed)
            raise
        answered.update(zip(new, answers, strict=True))
        self.answers.keep(claimed, [answered[i] for i in new if i in keys])
        return [answered[i] for i in range(len(requests))]

    def arms_of(self, users: Sequence[Id]) -> list[Mapping[str, str]]:
        """Return each listener's arm by experiment, as the event log has it; nothing is logged."""
        columns = [experiment.assign(users) for experiment in self.settings.experiments]
        shared, names = self._shared_arms, self._experiment_names
        return [
            shared.get(arms)
            or shared.setdefault(arms, dict(zip(names, arms, strict=True)))
            for arms in zip(*columns, strict=True)
        ]

    def problems(self) -> list[str]:
        """Return why the service should get no requests now."""
        problems = []
        if not self.store.ready():
            problems.append("the session store cannot be reached")
        if self.log.failure:
            problems.append(f"events cannot be written ({self.log.failure})")
        if not self.versions.is_watching():
            problems.append("nothing watches for new versions")
        return problems

    def _note_lacking(self, model: Model) -> None:
        for note in self.settings.lacking(model):
            logger.warning("%s", note)

    def close(self) -> None:
        """Stop watching and close the event log's segment; no request may come after."""
        self.versions.close()
        self.log.close()

    def _answer_new(
        self, message: Message, requests: Sequence[Listening], numbers: Numbers
    ) -> list[int]:
        """Answer requests that were not answered before."""
        start_s, model = time.perf_counter(), self.versions.model
        tracks, lines = [ENDED] * len(requests), [b""] * len(requests)
        for positions in (
            _rounds(requests)
            if message == "next" and len(requests) > 1
            else [range(len(requests))]
        ):
            own = [numbers[i] for i in positions] if numbers else ()
            outcomes = self._answer_round(
                message, model, [requests[i] for i in positions], own, start_s
            )
            for i, (track, line) in zip(positions, outcomes, strict=True):
                tracks[i], lines[i] = track, line
        self._write(message, lines, numbers, start_s)
        return tracks

    def _answer_round(
        self,
        message: Message,
        model: Model,
        requests: Sequence[Listening],
        numbers: Numbers,
        start_s: float,
    ) -> Iterator[tuple[int, bytes]]:
        """Answer listeners, who differ unless sessions end; returns the answers and the lines of the event log."""
        now_ms, arms = (
            time.time_ns() // 1_000_000,
            self.arms_of([user for user, _, _ in requests]),
        )
        answers: Sequence[tuple[str | None, Drawn]]
        if message == "next":
            sessions, answers = self._recommend(model, requests, arms, now_ms)
        else:
            sessions, answers = (
                self.store.end(requests, now_ms),
                [(None, Drawn(ENDED, None))] * len(requests),
            )
        outcomes = [
            (
                session and session.id,
                own,
                None if name is None else track,
                name,
                propensity,
            )
            for session, own, (name, (track, propensity)) in zip(
                sessions, arms, answers, strict=True
            )
        ]
        latency_s, ids = time.perf_counter() - start_s, model.catalogue.ids
        lines = event_lines(
            message, now_ms, latency_s, requests, outcomes, numbers, ids=ids
        )
        return zip([drawn.track for _, drawn in answers], lines, strict=True)

    def _recommend(
        self,
        model: Model,
        requests: Sequence[Listening],
        arms: Sequence[Mapping[str, str]],
        now_ms: int,
    ) -> tuple[list[Session | None], list[tuple[str, Drawn]]]:
        """Return the sessions with what was just heard; the recommender that had a track, and that, for each."""
        sessions = self.store.hear(requests, now_ms)
        answers: list[tuple[str, Drawn]] = []
        try:
            names = [
                self._recommender_of_arm[own[self.settings.decides]] for own in arms
            ]
            rows = list(map(_row, requests, sessions, repeat(len(model.catalogue))))
            answers = recommend(model, rows, names, self.settings.fallback, self._rng)
        finally:
            tracks = (
                [drawn.track for _, drawn in answers]
                if answers
                else [None] * len(requests)
            )
            is_in_time = self.store.settle(
                [user for user, _, _ in requests], sessions, tracks
            )
        if not is_in_time:
            raise LateError(
                "the session went on without this request, which took too long; ask again"
            )
        if None in sessions:
            self.metrics.without_memory.inc(sessions.count(None))
        answered = [name for name, _ in answers]
        for name in set(answered):
            self._recommended[name].inc(answered.count(name))
        return sessions, answers

    def _write(
        self, message: Message, lines: list[bytes], numbers: Numbers, start_s: float
    ) -> None:
        if numbers and time.perf_counter() - start_s > LATE_S:
            raise LateError(
                "it took too long to be sure that nobody else answers this request; ask again"
            )
        try:
            self.log.append(b"".join(lines))
        except OSError:
            self.metrics.log_failures.inc()
            raise
        self.metrics.events[message].inc(len(lines))
        self.metrics.latency[message].observe(time.perf_counter() - start_s)


def _row(request: Listening, session: Session | None, tracks: int) -> Row:
    """Return what recommenders get.

    While the session store is down, a session is the track just heard; so is one with tracks that
    the catalogue lacks.
    """
    _, track, time_ = request
    user = user_number(request[0])
    if session is None or not 0 <= min(session.tracks) <= max(session.tracks) < tracks:
        return Row(user, (track,), (time_,), (track,))
    return Row(user, session.tracks, session.times, session.tracks + session.pending)


def _rounds(requests: Sequence[Listening]) -> list[list[int]]:
    """Split the positions of a batch so that a listener's second request comes after the answer to the first."""
    rounds: defaultdict[int, list[int]] = defaultdict(list)
    rounds_of: defaultdict[Id, int] = defaultdict(int)
    for position, (user, _, _) in enumerate(requests):
        rounds[rounds_of[user]].append(position)
        rounds_of[user] += 1
    return list(rounds.values())
