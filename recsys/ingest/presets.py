"""Describe published data sets: columns, what is computed, and rows left out.

A new one is an entry of `PRESETS`, and a row in docs/own-data.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.logs.files import LogFile
from analysis.tables.columns import Columns, Reading, parse_columns
from recsys.errors import IngestError

_YAMBDA = Reading(
    Columns("uid", "item_id", timestamp="seconds", share="share", organic="is_organic"),
    computed={
        "seconds": "CAST(timestamp AS BIGINT) * 5",
        "share": "least(CAST(played_ratio_pct AS DOUBLE), 100) / 100",
    },
)
# a rating of four and more is liked, as in most published protocols
_STARS = Reading(Columns("1", "2", timestamp="4"), where="\"3\" >= '4'", header=False)

PRESETS: Mapping[str, Reading] = {
    # userid-timestamp-artid-artname-traid-traname.tsv: no header, no quotation, and
    # tracks without an id.
    "lastfm-1k": Reading(
        Columns("1", "track", timestamp="2", title="6", artist="4"),
        header=False,
        delimiter="\t",
        quoted=False,
        computed={"track": """coalesce(nullif("5", ''), "4" || ' - ' || "6")"""},
    ),
    # a file for each listener, as exported without header: artist, album, track, date.
    "lastfm": Reading(
        Columns("@file", "1+3", timestamp="4", title="3", artist="1"), header=False
    ),
    # the extended history: a folder for each listener; podcasts have no track.
    "spotify": Reading(
        parse_columns(
            "user=@folder,item=spotify_track_uri,weight=ms_played,timestamp=ts,"
            "title=master_metadata_track_name,artist=master_metadata_album_artist_name"
        ),
        where='"spotify_track_uri" IS NOT NULL AND CAST("ms_played" AS DOUBLE) >= 30000',
        weight_scale=0.001,
    ),
    # the history of a year, also a folder for each listener.
    "spotify-year": Reading(
        parse_columns(
            "user=@folder,item=artistName+trackName,weight=msPlayed,timestamp=endTime,"
            "title=trackName,artist=artistName"
        ),
        where='CAST("msPlayed" AS DOUBLE) >= 30000',
        weight_scale=0.001,
    ),
    # listens of dumps and exports
    "listenbrainz": Reading(
        parse_columns(
            "user=listener,item=track_metadata.artist_name+track_metadata.track_name,"
            "timestamp=moment,title=track_metadata.track_name,artist=track_metadata.artist_name"
        ),
        computed={
            "listener": 'coalesce("user_name", "user_id")',
            "moment": 'coalesce("timestamp", "listened_at")',
        },
    ),
    # the listening history, a sheet saved as CSV for each listener.
    "deezer": Reading(
        parse_columns(
            "user=@file,item=ISRC,weight=Listening Time,timestamp=Date,"
            "title=Song Title,artist=Artist"
        ),
        where='CAST("Listening Time" AS DOUBLE) >= 30',
    ),
    # listens.parquet: time in units of 5 s since an unknown day.
    "yambda": _YAMBDA,
    # multi_event.parquet also has likes
    "yambda-events": replace(_YAMBDA, where="event_type = 'listen'"),
    # ratings.csv, from the one of 20 million ratings on
    "movielens": Reading(
        Columns("userId", "movieId", timestamp="timestamp"),
        where="CAST(rating AS DOUBLE) >= 4",
    ),
    "movielens.dat": replace(
        _STARS, delimiter="::"
    ),  # ratings.dat, of 1 and 10 million
    "movielens.data": replace(_STARS, delimiter="\t"),  # u.data, of 100,000
    # events.csv: what visitors of a shop did.
    "retailrocket": Reading(
        parse_columns(
            "user=visitorid,item=itemid,timestamp=timestamp,"
            "event=event:transaction=5,addtocart=2,view=1"
        )
    ),
    # train.txt and test.txt: a line has a listener and their items.
    "lightgcn": Reading(Columns("user", "item"), lists=True),
}


# The columns by which a data set is recognized, with names that no other file has
SIGNATURES: Mapping[str, frozenset[str]] = {
    "spotify": frozenset({"ts", "ms_played", "spotify_track_uri"}),
    "spotify-year": frozenset({"endTime", "artistName", "trackName", "msPlayed"}),
    "listenbrainz": frozenset(
        {"recording_msid", "track_metadata.track_name", "track_metadata.artist_name"}
    ),
    "deezer": frozenset({"Song Title", "Artist", "ISRC", "Listening Time", "Date"}),
    "yambda-events": frozenset({"uid", "item_id", "event_type", "played_ratio_pct"}),
    "yambda": frozenset({"uid", "item_id", "timestamp", "played_ratio_pct"}),
    "retailrocket": frozenset({"visitorid", "event", "itemid", "timestamp"}),
    "movielens": frozenset({"userId", "movieId", "rating", "timestamp"}),
}


def recognize(columns: Iterable[str]) -> str | None:
    """Find the published data set that a table is of, by the names of its columns.

    >>> recognize(["userId", "movieId", "rating", "timestamp"])
    'movielens'
    """
    names = set(columns)
    return next((name for name, keys in SIGNATURES.items() if keys <= names), None)


def make_reading(
    preset: str | None,
    columns: Columns | None,
    options: Mapping[str, Any],
    path: str | Path = "",
) -> Reading | None:
    """Combine a preset with columns and options of a caller, which win.

    >>> make_reading("movielens", None, {"where": "rating = '5.0'"}).where
    "rating = '5.0'"

    Args:
        preset: A name of `PRESETS`.
        columns: What the columns hold.
        options: Other values of a `Reading`; None where the caller has none.
        path: The first of the files, whose suffix may decide how a preset is read.

    Returns:
        How tables are read; None where the caller says nothing of tables.

    Raises:
        IngestError: The preset is unknown, or there are options of tables alone.
    """
    values = {name: value for name, value in options.items() if value is not None}
    if columns:
        values["columns"] = columns
    if preset:
        if preset not in PRESETS:
            names = ", ".join(PRESETS)
            raise IngestError(f"preset: {preset} is unknown; known are {names}")
        edition = f"{preset}{LogFile(Path(path), '').suffix}"
        return replace(PRESETS.get(edition, PRESETS[preset]), **values)
    if values and not columns:
        raise IngestError(
            f"{next(iter(values))} belongs to tables of plays or interactions, "
            "with --columns or --preset"
        )
    return Reading(**values) if columns else None
