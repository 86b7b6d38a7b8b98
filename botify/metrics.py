"""Metrics for Prometheus, right with several worker processes as well.

With several processes the environment variable PROMETHEUS_MULTIPROC_DIR must name an empty folder
before this module is imported: each process keeps its values there in a file of its own, and the
process that is asked adds them up.
"""

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_LATENCY_BOUNDS_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
)


class Metrics:
    """Counters and gauges of the service."""

    def __init__(self) -> None:
        """Register all metrics."""
        self.registry = CollectorRegistry()
        self.latency = Histogram(
            "botify_latency_seconds",
            "Time spent on a request, single or batch.",
            ["message"],
            buckets=_LATENCY_BOUNDS_S,
            registry=self.registry,
        )
        self.events = self._counter("botify_events", "Events logged.", "message")
        for message in ("next", "last"):  # shown at zero before the first event
            self.latency.labels(message)
            self.events.labels(message)
        self.recommendations = self._counter(
            "botify_recommendations", "Tracks recommended.", "recommender"
        )
        self.recommender_failures = self._counter(
            "botify_recommender_failures",
            "Recommenders that failed, so that fallbacks answered.",
            "recommender",
        )
        self.refusals = self._counter(
            "botify_refused_requests", "Requests refused.", "status"
        )
        self.unknown_tracks = self._counter(
            "botify_unknown_tracks", "Tracks heard that the catalogue lacks."
        )
        self.without_memory = self._counter(
            "botify_requests_without_session_store", "Answered without the session."
        )
        self.versions_refused = self._counter(
            "botify_version_refused", "Versions refused."
        )
        self.versions_checked = Gauge(
            "botify_version_checked_timestamp_seconds",
            "When the watcher last looked for a new version; the longest ago of all.",
            registry=self.registry,
            multiprocess_mode="livemin",
        )
        self.log_failures = self._counter(
            "botify_event_log_failures", "Not acknowledged: the log cannot be written."
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def text(self) -> bytes:
        """Format all metrics, of all processes, as Prometheus reads them."""
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            # this class alone has no annotations
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
