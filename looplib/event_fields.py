"""List the fields of the event log: name, type and meaning of each, told once.

Writers and readers take names, order and types from `EVENT_FIELDS`; docs/formats.md shows it.

To add a field, add it here and describe it in docs/formats.md: it is then read, checked and
stored. One that clients send (`from_client`) is accepted in requests and logged as it came, once
`botify/openapi.yaml` describes it; any other has its value from `botify.service.Service`, and is
null until then. What a type is to the service says `botify.schemas`, to readers `analysis.logs`.
A metric of an A/B report sees what `sql/ab/session_events.sql` passes on, and a search what
`sql/sessions/named_plays.sql` does.
"""

from typing import Literal, NamedTuple

LARGEST_ID = 2**63 - 1  # of a listener or a track, where ids are numbers
# a session ends after half an hour without an event
SESSION_SILENCE_MS = 30 * 60 * 1000

FieldType = Literal[
    "message",  # "next": a recommendation was asked for; "last": the session ended
    "milliseconds",  # since the epoch, UTC
    "listener",  # an id: a whole number from 0 or a text, of one kind in a log
    "track",  # an id of a track, of one kind in a log
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
    from_client: bool = False  # sent with what was heard; absent where it was not sent


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
