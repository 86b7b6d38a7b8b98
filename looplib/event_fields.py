"""List the fields of the event log.

Writers and readers take names, order and types from here. To add a field, add it to `EVENT_FIELDS`
and raise `SCHEMA` of `analysis.store`: it is then read, checked, stored and written as null.
docs/formats.md has the same table for people, and `analysis.logs.field_types` says what a type is
to JSON, DuckDB and Arrow. If the value comes from a client, `botify.schemas` and
`botify/openapi.yaml` accept it, and `botify.service.Service` logs it. Metrics of an A/B report read
it as a column of `events`, a search what `sql/sessions/named_events.sql` and `split_events.sql`
pass on. `sim.events` writes simulated ones.
"""

from typing import Literal, NamedTuple

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
    optional: bool = True  # may be absent or null


EVENT_FIELDS = (
    EventField("message", "message", optional=False),  # what the service was asked
    EventField("timestamp", "milliseconds", optional=False),  # when the event came
    EventField("user", "listener", optional=False),  # who listens
    EventField("track", "track", optional=False),  # the track just heard
    EventField("time", "share", optional=False),  # share of that track that was heard
    EventField("latency", "seconds"),  # spent in the service; not of batches
    EventField("recommendation", "track"),  # the track recommended next
    EventField("experiments", "arms"),  # the arm of each running experiment
    EventField("session", "name"),  # the session; derived where absent
    EventField("recommender", "text"),  # who answered, after fallbacks
    EventField("propensity", "probability"),  # of drawing that recommendation
    EventField("request", "number"),  # the client's number of the request
)
