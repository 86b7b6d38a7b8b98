"""Answer requests: session, arms, recommendation and event log, in this order.

An answer is given only after its event is in the log. The session is brought up to date before
that, so a request whose event could not be written, and that is sent again, finds its track in the
session twice and nothing else.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from botify.errors import BodyError, UnavailableError
from botify.event_log import Message, SegmentWriter, event_line
from botify.metrics import Metrics
from botify.model.catalogue import Id, load_catalogue, user_number
from botify.model.factors import FACTORS
from botify.model.model import SIMILAR, ServedModel
from botify.recommenders.base import UNKNOWN, Query
from botify.recommenders.registry import (
    draw,
    is_from_here,
    load_recommenders,
    missing_artifacts,
    recommend,
)
from botify.schemas import Bodies, Listening, Ranking
from botify.sessions.local import LocalSessions
from botify.sessions.redis import RedisSessions
from botify.settings import ServiceSettings
from botify.versions import Versions, load_version
from looplib.arrays import NO_TRACK
from looplib.memory import add_plays, pack_plays
from looplib.randomness import make_generator
from looplib.rerank import ARTIST, rerank

# requests of a batch, between which the others have their turn in this process and at Redis
_AT_ONCE = 400

logger = logging.getLogger("botify")

Arms = Mapping[str, str]
"""A listener's arm by experiment."""


def load_configured(settings: ServiceSettings) -> ServedModel:
    """Load the catalogue and the current version that the settings name.

    Raises:
        BotifyError: The catalogue cannot be read.
        ModelError: The version does not fit its manifest or the catalogue.
    """
    catalogue = load_catalogue(settings.catalogue)
    text_users = settings.text_users
    if settings.recommendations is None:  # the catalogue alone
        is_text = catalogue.is_text if text_users is None else text_users
        return ServedModel("none", datetime.now(UTC), catalogue, is_text)
    return load_version(
        settings.recommendations, catalogue, settings, text_users=text_users
    )


class Service:
    """The service of one process. Make it in that process, not before a fork."""

    def __init__(self, settings: ServiceSettings, model: ServedModel) -> None:
        """Put the parts of the process together, and start to watch for new versions.

        Raises:
            ConfigError: `redis_url` is no URL of a Redis.
            OSError: The event log's folder cannot be written.
        """
        self.settings = settings
        numbers = map(model.catalogue.number, settings.exclude)
        self._excluded = frozenset(numbers) - {NO_TRACK}
        self.metrics = Metrics()
        self.versions = Versions(settings, model, self.metrics)
        self.bodies = Bodies(model.catalogue, text_users=model.text_users)
        self.sessions = make_sessions(settings, model.catalogue.sha256)
        self._rng = np.random.default_rng()
        self._failed: set[str] = set()  # recommenders
        self._arm_recommenders = {
            arm.name: arm.recommender for arm in settings.deciding.arms
        }
        self.log = SegmentWriter(settings.log_dir, settings.fsync)
        self.versions.watch()

    @property
    def never_waits(self) -> bool:
        """Whether an answer waits for nothing but a write into the log, which the system buffers.

        Redis, the disk under `fsync: always` and recommenders of other packages may take long.
        """
        is_local = isinstance(self.sessions, LocalSessions)
        are_ours = all(map(is_from_here, self.settings.recommenders))
        return is_local and self.settings.fsync != "always" and are_ours

    def answer(
        self, message: Message, requests: Sequence[Listening], *, in_batch: bool = False
    ) -> list[list[Id]]:
        """Recommend the next track to each listener, or end their sessions.

        Requests of a batch are logged without a latency, which only the batch has.

        Returns:
            The ids of as many tracks as each asks for, best first; none on `last`.

        Raises:
            BodyError: A request excludes all tracks.
            UnavailableError: The events could not be written; no request is acknowledged.
        """
        start_s = time.perf_counter()
        model = self.versions.model
        most_barred = max(len(self._excluded | request.exclude) for request in requests)
        if most_barred >= len(model.catalogue):
            raise BodyError("exclude: no track of the catalogue is left")
        timestamp = time.time_ns() // 1_000_000
        answered: list[tuple[dict[str, Any], list[Id]]] = []
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            answered += self._hear(message, some, model)
        latency = None if in_batch else time.perf_counter() - start_s
        shared = {"message": message, "timestamp": timestamp, "latency": latency}
        lines = [event_line(**shared, **event) for event, _ in answered]
        try:
            self.log.append(b"".join(lines))
        except OSError as error:
            self.metrics.log_failures.inc()
            cause = error.strerror or error
            raise UnavailableError(
                f"the event could not be written ({cause}); ask again"
            ) from error
        self.metrics.events.labels(message).inc(len(lines))
        took_s = time.perf_counter() - start_s
        self.metrics.latency.labels(message).observe(took_s)
        return [tracks for _, tracks in answered]

    def _hear(
        self,
        message: Message,
        requests: Sequence[Listening],
        model: ServedModel,
    ) -> Iterator[tuple[dict[str, Any], list[Id]]]:
        """Bring sessions up to date, and recommend.

        Yields:
            The fields of the event log that belong to a request, and its list.
        """
        requests = [
            request._replace(is_skip=request.time < model.skip) for request in requests
        ]
        arms = self.arms_of([request.user for request in requests])
        sessions = self.sessions.hear(requests, is_last=message == "last")
        ids = model.catalogue.ids
        for request, assigned, session in zip(requests, arms, sessions, strict=True):
            name, drawn = None, UNKNOWN
            length = request.list_length or 1
            if message == "next":
                query = Query(
                    user_number(request.user),
                    # the track just heard, if there is no session
                    session.tracks if session else (request.track,),
                    session.times if session else (request.time,),
                    self._excluded | request.exclude,
                    self.settings.rerank.depth(length) if length > 1 else 1,
                    self.settings.repeat_after,
                    plays=session and session.plays,
                )
                name, drawn = recommend(
                    model,
                    query,
                    self._arm_recommenders[assigned[self.settings.deciding.name]],
                    self.settings.fallback,
                    self._find_rng(query),
                    self._note_failure,
                )
                self.metrics.recommendations.labels(name).inc()
            if session is None and name:
                self.metrics.without_memory.inc()
            if request.track == NO_TRACK:
                self.metrics.unknown_tracks.inc()
            event = {
                "recommendation": ids[drawn.track] if name else None,
                "experiments": assigned,
                "session": session and session.id,
                "recommender": name,
                "propensity": drawn.propensity,
            }
            tracks = [drawn.track, *drawn.following] if name else []
            if length > 1:
                tracks = self._diversify(tracks, length, model)
            yield {**request.logged, **event}, [ids[track] for track in tracks]

    def list_for(self, user: Id, request: Ranking) -> list[Id]:
        """Rank tracks without a session, by a recommender and then by popularity.

        Without a recommender's name, the listener's list comes first. All candidates are ranked;
        unknown candidates come last, in the order of the request.

        Raises:
            BodyError: There is no such recommender, or the version lacks its files.
        """
        model = self.versions.model
        candidates, name = request.candidates, request.recommender
        if name:
            _check_recommender(model, name)
        if not request.length:  # the catalogue has none of the candidates
            return []
        depth = self.settings.rerank.depth(request.length)
        query = Query(
            user_number(user),
            request.session or (NO_TRACK,),
            [1.0] * max(1, len(request.session)),
            self._excluded | request.exclude,
            depth if candidates is None else request.length,
            repeat_after=0,
            candidates=None if candidates is None else np.array(candidates),
        )
        remembered = self.sessions.plays_of(user)
        if remembered is not None:
            played = pack_plays(request.session, int(time.time()))
            query.plays = add_plays(remembered, played)
        tracks = model.recommendations.list_of(query.user)
        if name:
            rng = self._find_rng(query)
            _, drawn = draw(name, model, query, rng, self._note_failure)
            tracks = [t for t in (drawn.track, *drawn.following) if t != NO_TRACK]
        ranked = [*dict.fromkeys(query.allowed([*tracks, *model.popular]))]
        if candidates is None:
            ranked = self._diversify(ranked[:depth], request.length, model)
        return self._allowed([*ranked, *(candidates or ())], request)

    def similar_to(self, track: Id, request: Ranking) -> list[Id] | None:
        """List the tracks most similar to a track; None if the version has no such lists."""
        lists = self.versions.model.get(SIMILAR)
        if lists is None:
            return None
        return self._allowed(lists.list_of(user_number(track)), request)

    def _allowed(self, tracks: Sequence[int], request: Ranking) -> list[Id]:
        barred = self._excluded | request.exclude
        allowed = [track for track in dict.fromkeys(tracks) if track not in barred]
        ids = self.versions.model.catalogue.ids
        return [ids[track] for track in allowed[: request.length]]

    def _diversify(
        self, tracks: list[int], length: int, model: ServedModel
    ) -> list[int]:
        """Re-rank tracks as the settings say, by factors if the version has them."""
        options, factors = self.settings.rerank, model.get(FACTORS)
        if not options.is_on:
            return tracks
        items = factors.items if factors else None
        groups = {
            name: model.catalogue.group(name) for name in {ARTIST, *options.most_per}
        }
        (best,) = rerank(np.array([tracks], np.int64), length, options, groups, items)
        return [track for track in best.tolist() if track != NO_TRACK]

    def arms_of(self, users: Sequence[Id]) -> list[Arms]:
        """Assign each listener to arms, as the event log has them; nothing is logged."""
        experiments = self.settings.experiments
        names = [experiment.name for experiment in experiments]
        columns = [experiment.assign(users) for experiment in experiments]
        return [
            dict(zip(names, arms, strict=True)) for arms in zip(*columns, strict=True)
        ]

    def warnings(self) -> list[str]:
        """List the reasons for which the service should get no requests now."""
        warnings = []
        if not self.sessions.is_ready():
            warnings.append("the session store cannot be reached")
        if self.log.failure:
            warnings.append(f"events cannot be written ({self.log.failure})")
        return warnings

    def close(self) -> None:
        """Stop watching and close the event log's segment; no request may come after."""
        self.versions.close()
        self.log.close()

    def _note_failure(self, name: str, error: Exception) -> None:
        """Count a recommender that failed; its first failure is logged."""
        self.metrics.recommender_failures.labels(name).inc()
        if name not in self._failed:
            self._failed.add(name)
            logger.error("%s failed, and fallbacks answer", name, exc_info=error)

    def _find_rng(self, query: Query) -> np.random.Generator:
        """Find the generator of a query's draws."""
        if self.settings.seed is None:
            return self._rng
        ids = query.user % 2**63, len(query.tracks)
        return make_generator(self.settings.seed, "draw", *ids)


def make_sessions(
    settings: ServiceSettings, catalogue_sha256: str
) -> LocalSessions | RedisSessions:
    """Make the session store of the settings.

    Raises:
        ConfigError: `redis_url` is no URL of a Redis.
    """
    remembers = settings.remembers
    if settings.redis_url is None:
        return LocalSessions(remembers=remembers)
    url = settings.redis_url.get_secret_value()
    return RedisSessions(
        url, settings.redis_prefix, catalogue_sha256, remembers=remembers
    )


def _check_recommender(model: ServedModel, name: str) -> None:
    """Refuse a recommender that does not exist, or whose files the version lacks."""
    if name not in load_recommenders():
        allowed = ", ".join(load_recommenders())
        raise BodyError(f"recommender: {name} found; allowed: {allowed}")
    if missing := missing_artifacts(name, model):
        raise BodyError(
            f"recommender: {name} needs {' and '.join(missing)}, which version "
            f"{model.version} lacks or no arm reads"
        )
