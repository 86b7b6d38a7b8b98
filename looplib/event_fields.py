"""List the fields of the event log: name, type and meaning of each, told once.

Writers and readers take names, order and types from `EVENT_FIELDS`; docs/formats.md shows it.

To add a field, add it here and describe it in docs/formats.md: it is then read, checked and
stored. A field that clients send (`from_client`) is accepted in requests and logged unchanged,
once `botify/openapi.yaml` describes it; any other field is null until `botify.service.Service` sets
it. `botify.schemas` maps types for the service, `analysis.logs` for readers. Metrics of an A/B
report see the columns of `sql/ab/session_events.sql`, and a search the columns of
`sql/sessions/named_plays.sql`.
"""

from typing import Literal, NamedTuple

LARGEST_ID = 2**63 - 1  # largest number of a listener or a track
# a session ends after half an hour without an event
SESSION_SILENCE_MS = 30 * 60 * 1000

FieldType = Literal[
    "message",  # "next": a recommendation was asked for; "last": the session ended
    "milliseconds",  # since the epoch, UTC
    "listener",  # an id: a whole number from 0, or text in all events of a log
    "track",  # an id of a track, like `listener`
    "share",  # 0 to 1
    "seconds",
    "arms",  # an object: experiment -> arm
    "name",  # a text that is not empty
    "text",
    "probability",  # above 0, at most 1
    "number",  # a whole number from 0
]


class EventField(NamedTuple):
    """A key of a line of the event log."""

    name: str
    type: FieldType
    meaning: str
    optional: bool = True  # may be absent or null
    from_client: bool = False  # sent with the request; absent if it was not sent


EVENT_FIELDS = (
    EventField("message", "message", "what the service was asked", optional=False),
    EventField("timestamp", "milliseconds", "when the event came", optional=False),
    EventField("user", "listener", "who listens", optional=False, from_client=True),
    EventField(
        "track", "track", "the track just heard", optional=False, from_client=True
    ),
    EventField(
        "time",
        "share",
        "share of that track that was heard",
        optional=False,
        from_client=True,
    ),
    EventField("latency", "seconds", "spent in the service; not of batches"),
    EventField("recommendation", "track", "the track recommended next"),
    EventField("experiments", "arms", "the arm of each running experiment"),
    EventField("session", "name", "the session; derived where absent"),
    EventField("recommender", "text", "who answered, after fallbacks"),
    EventField("propensity", "probability", "of drawing that recommendation"),
    EventField(
        "request", "number", "the client's number of the request", from_client=True
    ),
)
