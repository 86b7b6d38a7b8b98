"""The columns of a store's parts: of events, and of interactions."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """The columns of a store's parts."""

    schema: pa.Schema  # names and types; timestamp and message follow from the rows' moments
    dictionaries: tuple[str, ...]  # columns of few values; of others a dictionary would be larger than the values


EVENTS = Layout(
    pa.schema(
        {
            "user": pa.int64(),
            "timestamp": pa.int64(),
            "message": pa.dictionary(pa.int8(), pa.string()),
            "track": pa.int64(),
            "time": pa.float64(),
            "latency": pa.float64(),
            "recommendation": pa.int64(),
            "experiments": pa.string(),
            "session": pa.string(),
            "recommender": pa.string(),
            "propensity": pa.float64(),
        }
    ),
    ("message", "time", "experiments", "recommender", "propensity"),
)
INTERACTIONS = Layout(
    pa.schema(
        {
            "user": pa.int64(),
            "timestamp": pa.int64(),
            "track": pa.int64(),
            "time": pa.float64(),
            "session": pa.string(),
            "source": pa.string(),
        }
    ),
    ("time", "session", "source"),
)
