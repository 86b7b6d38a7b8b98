"""Files of plays as owners bring them, and the queries that `init` writes for them."""

import json
from collections.abc import Callable, Sequence

PLAYS = [(user, play) for play in range(40) for user in range(6)]


def table(names: str, row: Callable[[int, int], Sequence[object]]) -> str:
    """Text of a CSV file with a row for each play of each listener."""
    lines = [names, *(",".join(map(str, row(*play))) for play in PLAYS)]
    return "\n".join(lines) + "\n"


# file name → its text, and its query below the first line
FILES: dict[str, tuple[str, str]] = {
    # without names; many tracks have no id
    "userid-timestamp.tsv": (
        table(
            "user_000009\t2009-05-04T23:08:57Z\tb1\tBand\t\tSong",
            lambda u, n: (
                f"user_00000{u}\t2009-05-{1 + n % 28:02}T{n % 24:02}:30:00Z\t"
                f"b{n % 3}\tBand {n % 3}\tt{n % 9}\tSong {n % 9}",
            ),
        ),
        """-- The Last.fm 1K users: userid-timestamp-artid-artname-traid-traname.tsv, without
        names and quotes; many tracks have no id.
-- first line: user_\\d{6}\\t.*
SELECT
    column0 AS listener,
    coalesce(nullif(column4, ''), column3 || ' - ' || column5) AS track,
    column1 AS played_at,
    column5 AS title,
    column3 AS artist
FROM read_csv('userid-timestamp.tsv', delim = '\\t', quote = '', header = false,
        all_varchar = true)
""",
    ),
    # tracks of several artists share a title
    "scrobbles.csv": (
        table(
            "username;utc_time;artist;album;track",
            lambda u, n: (
                f"u{u};{1 + n % 28:02} Feb 2026 {n % 24:02}:30;Artist {n % 5};"
                f"Album;Song {n % 3}",
            ),
        ),
        """SELECT
    username AS listener,
    coalesce(artist || ' - ', '') || track AS track,  -- 12 share a name with another
        artist's
    try_strptime(utc_time, '%d %b %Y %H:%M') AS played_at,
    track AS title,
    artist
FROM read_csv('scrobbles.csv', types = {'username': 'VARCHAR', 'track': 'VARCHAR',
        'utc_time': 'VARCHAR', 'artist': 'VARCHAR'})
""",
    ),
    "stream.csv": (
        table(
            "ts,username,platform,ms_played,track_uri,duration_ms",
            lambda u, n: (
                f"2026-01-{1 + n % 28:02}T{n % 24:02}:00:00Z",
                f"u{u}",
                "ios",
                n * 1000,
                f"spotify:track:{n % 9}",
                60_000,
            ),
        ),
        """SELECT
    username AS listener,
    track_uri AS track,
    ts AS played_at,
    least(ms_played / nullif(duration_ms, 0), 1) AS share
FROM read_csv('stream.csv', types = {'username': 'VARCHAR', 'track_uri': 'VARCHAR',
        'ts': 'VARCHAR', 'ms_played': 'DOUBLE', 'duration_ms': 'DOUBLE'})
""",
    ),
    "seconds.csv": (
        table(
            "listener_name,played_at,song_title,artist_name,seconds_listened,song_seconds",
            lambda u, n: (
                f"u{u}",
                f"2026-01-{1 + n % 28:02} {n % 24:02}:00:00",
                f"Song {n % 9}",
                f"Artist {n % 9 % 4}",
                f"{n // 15}:{n * 4 % 60:02}",
                "00:03:20",
            ),
        ),
        """SELECT
    listener_name AS listener,
    song_title AS track,
    played_at,
    song_title AS title,
    artist_name AS artist,
    least(list_reduce(TRY_CAST(string_split(seconds_listened, ':') AS DOUBLE[]),
        lambda total, part : 60 * total + part) /
        nullif(list_reduce(TRY_CAST(string_split(song_seconds, ':') AS DOUBLE[]),
        lambda total, part : 60 * total + part), 0), 1) AS share
FROM read_csv('seconds.csv', types = {'listener_name': 'VARCHAR', 'song_title':
        'VARCHAR', 'played_at': 'VARCHAR', 'artist_name': 'VARCHAR',
        'seconds_listened': 'VARCHAR', 'song_seconds': 'VARCHAR'})
""",
    ),
    # a play begins and ends, and only the end has what was heard; searches have no track
    "warehouse.csv": (
        "event_time,event_type,user_id,track_id,played_ms,track_duration_ms\n"
        + "".join(
            f"2026-01-05 10:{n:02}:00 UTC,play_start,{u},{n},,9000\n"
            f"2026-01-05 10:{n:02}:00 UTC,play_end,{u},{n},{n * 100},9000\n"
            f"2026-01-05 10:{n:02}:00 UTC,search,{u},,,\n"
            for u, n in PLAYS
        ),
        """SELECT
    user_id AS listener,
    track_id AS track,
    event_time AS played_at,
    least(played_ms / nullif(track_duration_ms, 0), 1) AS share
FROM read_csv('warehouse.csv', types = {'event_type': 'VARCHAR', 'user_id': 'VARCHAR',
        'track_id': 'VARCHAR', 'event_time': 'VARCHAR', 'played_ms': 'DOUBLE',
        'track_duration_ms': 'DOUBLE'})
WHERE event_type IN ('play_end')  -- rows that are plays
""",
    ),
    "ratings.dat": (
        "\n".join(f"{u + 1}::{n + 1}::{1 + n % 5}::{978300760 + n}" for u, n in PLAYS),
        """SELECT
    column0 AS listener,
    column1 AS track,
    to_timestamp(column3) AS played_at  -- seconds since 1970
FROM read_csv('ratings.dat', delim = '::', header = false, types = {'column2':
        'DOUBLE', 'column0': 'VARCHAR', 'column1': 'VARCHAR', 'column3': 'BIGINT'})
WHERE column2 >= 4  -- liked
""",
    ),
    "shares.jsonl": (
        "\n".join(
            json.dumps(
                {
                    "account_id": u,
                    "song_id": n % 9,
                    "percent_played": n,
                    "session_id": n,
                }
            )
            for u, n in PLAYS
        ),
        """SELECT
    account_id AS listener,
    song_id AS track,
    session_id AS session,
    percent_played / 100 AS share  -- percent
FROM read_json('shares.jsonl', format = 'newline_delimited', ignore_errors = true,
        columns = {'account_id': 'JSON', 'song_id': 'JSON', 'percent_played':
        'DOUBLE', 'session_id': 'VARCHAR'})
""",
    ),
    "counts.csv": (
        table("User ID,Track ID,Play Count", lambda u, n: (f"u{u}", n, 10 ** (n % 4))),
        """SELECT
    "User ID" AS listener,
    "Track ID" AS track,
    "Play Count" AS weight
FROM read_csv('counts.csv', types = {'User ID': 'VARCHAR', 'Track ID': 'VARCHAR',
        'Play Count': 'DOUBLE'})
""",
    ),
    "micros.csv": (
        table(
            "event_timestamp,user_pseudo_id,item_id,listen_ratio,is_organic",
            lambda u, n: (
                1_767_225_600_000_000 + n * 60_000_000,
                f"{u}.5",
                n % 9,
                n / 40,
                "true",
            ),
        ),
        """SELECT
    user_pseudo_id AS listener,
    item_id AS track,
    make_timestamp(event_timestamp) AS played_at,  -- microseconds since 1970
    listen_ratio AS share,
    is_organic AS organic
FROM read_csv('micros.csv', types = {'user_pseudo_id': 'VARCHAR', 'item_id':
        'VARCHAR', 'event_timestamp': 'BIGINT', 'listen_ratio': 'DOUBLE'})
""",
    ),
    "american.csv": (
        table(
            "Listener UUID,Product ID,Played At,Minutes Played",
            lambda u, n: (f"u{u}", n % 9, f"{1 + n % 12}/{1 + n % 28}/2025 2:05 PM", n),
        ),
        """SELECT
    "Listener UUID" AS listener,
    "Product ID" AS track,
    "Minutes Played" * 60 AS seconds,  -- to seconds
    try_strptime("Played At", '%m/%d/%Y %I:%M %p') AS played_at
FROM read_csv('american.csv', types = {'Minutes Played': 'DOUBLE', 'Listener UUID':
        'VARCHAR', 'Product ID': 'VARCHAR', 'Played At': 'VARCHAR'})
WHERE "Minutes Played" >= 0.5  -- shorter plays are left out
""",
    ),
    "german.csv": (
        table(
            "user;track;gespielt am;minutes_played",
            lambda u, n: (f"u{u};t{n % 9};{1 + n % 28}.1.2025;1.0{n:02},5",),
        ),
        """SELECT
    user AS listener,
    track,
    minutes_played * 60 AS seconds,  -- to seconds
    try_strptime("gespielt am", '%d.%m.%Y') AS played_at,
    track AS title
FROM read_csv('german.csv', types = {'minutes_played': 'DOUBLE', 'user': 'VARCHAR',
        'track': 'VARCHAR', 'gespielt am': 'VARCHAR'}, decimal_separator = ',',
        thousands = '.')
WHERE minutes_played >= 0.5  -- shorter plays are left out
""",
    ),
    "stars.inter": (
        table(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            lambda u, n: (f"{u}\t{n}\t{1 + n % 5}\t{978300760 + n}",),
        ),
        """SELECT
    "user_id:token" AS listener,
    "item_id:token" AS track,
    to_timestamp("timestamp:float") AS played_at  -- seconds since 1970
FROM read_csv('stars.inter', types = {'rating:float': 'DOUBLE', 'user_id:token':
        'VARCHAR', 'item_id:token': 'VARCHAR', 'timestamp:float': 'BIGINT'})
WHERE "rating:float" >= 4  -- liked
""",
    ),
    "days.csv": (
        table(
            "uid,song,date,ms_played",
            lambda u, n: (u, n % 9, 20250101 + n % 28, n * 1000),
        ),
        """SELECT
    uid AS listener,
    song AS track,
    ms_played / 1000 AS seconds,  -- milliseconds
    try_strptime(date, '%Y%m%d') AS played_at
FROM read_csv('days.csv', types = {'ms_played': 'DOUBLE', 'uid': 'VARCHAR', 'song':
        'VARCHAR', 'date': 'VARCHAR'})
WHERE ms_played >= 30000  -- shorter plays are left out
""",
    ),
    "clock.csv": (
        table(
            "user,track,played_at,listened",
            lambda u, n: (u, n % 9, f"2026-01-05 10:{n:02}", f"{n}:30"),
        ),
        """SELECT
    user AS listener,
    track,
    list_reduce(TRY_CAST(string_split(listened, ':') AS DOUBLE[]), lambda total, part
        : 60 * total + part) AS seconds,
    played_at
FROM read_csv('clock.csv', types = {'listened': 'VARCHAR', 'user': 'VARCHAR', 'track':
        'VARCHAR', 'played_at': 'VARCHAR'})
WHERE list_reduce(TRY_CAST(string_split(listened, ':') AS DOUBLE[]), lambda total,
        part : 60 * total + part) >= 30  -- shorter plays are left out
""",
    ),
    "activity.csv": (
        table(
            "Event Type,Account,Song Name,Start Position In Milliseconds,"
            "Media Duration In Milliseconds,Play Duration Milliseconds,Device",
            lambda u, n: ("PLAY_END", f"u{u}", n % 9, 0, 200_000, n * 5000, "phone"),
        ),
        """SELECT
    Account AS listener,
    "Song Name" AS track,
    "Play Duration Milliseconds" / 1000 AS seconds  -- milliseconds
FROM read_csv('activity.csv', types = {'Event Type': 'VARCHAR', 'Play Duration
        Milliseconds': 'DOUBLE', 'Account': 'VARCHAR', 'Song Name': 'VARCHAR'})
WHERE "Event Type" IN ('PLAY_END')  -- rows that are plays
AND "Play Duration Milliseconds" >= 30000  -- shorter plays are left out
""",
    ),
    "halves.csv": (
        table(
            "user,track,date,time,liked",
            lambda u, n: (
                u,
                n % 9,
                f"{1 + n % 28}/12/2025",
                f"{n % 24}:05:00",
                -(n % 2),
            ),
        ),
        """SELECT
    user AS listener,
    track,
    try_strptime(date || ' ' || "time", '%d/%m/%Y %H:%M:%S') AS played_at
FROM read_csv('halves.csv', types = {'user': 'VARCHAR', 'track': 'VARCHAR', 'date':
        'VARCHAR', 'time': 'VARCHAR'})
""",
    ),
    "nanos.csv": (
        table(
            "user,track,played_at_ns",
            lambda u, n: (u, n % 9, 1_767_225_600_000_000_000 + n * 10**12),
        ),
        """SELECT
    user AS listener,
    track,
    make_timestamp_ns(played_at_ns) AS played_at  -- nanoseconds since 1970
FROM read_csv('nanos.csv', types = {'user': 'VARCHAR', 'track': 'VARCHAR',
        'played_at_ns': 'BIGINT'})
""",
    ),
    "tracked.jsonl": (
        "\n".join(
            json.dumps(
                {
                    "userId": f"u{u}",
                    "event": "Song Played" if n % 4 else "Page Viewed",
                    "properties": {"track_id": n % 9, "path": "/"},
                    "sentAt": f"2026-01-{1 + n % 28:02}T10:{n:02}:00Z",
                }
            )
            for u, n in PLAYS
        ),
        """SELECT
    userId AS listener,
    properties.track_id AS track,
    sentAt AS played_at
FROM read_json('tracked.jsonl', format = 'newline_delimited', ignore_errors = true,
        columns = {'userId': 'JSON', 'event': 'VARCHAR', 'properties':
        'STRUCT("track_id" JSON)', 'sentAt': 'VARCHAR'})
WHERE event IN ('Song Played')  -- rows that are plays
""",
    ),
    "playlists.json": (
        json.dumps(
            {
                "playlists": [
                    {
                        "pid": u,
                        "tracks": [{"track_uri": f"t{n}"} for n in range(20 + u)],
                    }
                    for u in range(9)
                ]
            },
            indent=1,
        ),
        """SELECT
    playlist.pid AS listener,
    track.track_uri AS track
FROM (
    SELECT *, unnest(playlist.tracks) AS track FROM (
    SELECT *, unnest(playlists) AS playlist FROM read_json('playlists.json',
        maximum_object_size = 134217728, columns = {'playlists': 'STRUCT("pid" JSON,
        "tracks" STRUCT("track_uri" JSON)[])[]'})
    )
    )
""",
    ),
    "shop.csv": (
        table(
            "visitor_id,product_id,event_type",
            lambda u, n: (u, n % 9, ("view", "view", "cart", "purchase")[n % 4]),
        ).replace("visitor_id", "customer"),
        """SELECT
    customer AS listener,
    product_id AS track,
    CASE event_type WHEN 'cart' THEN 2 WHEN 'purchase' THEN 5 WHEN 'view' THEN 1 END
        AS weight  -- weights of events
FROM read_csv('shop.csv', types = {'event_type': 'VARCHAR', 'customer': 'VARCHAR',
        'product_id': 'VARCHAR'})
WHERE event_type IN ('cart', 'purchase', 'view')  -- events that have a weight
""",
    ),
    "yambda.csv": (
        table(
            "uid,item_id,timestamp,is_organic,played_ratio_pct,track_length_seconds",
            lambda u, n: (u, n % 9, n * 100, n % 2, n, 200),
        ),
        """-- Yambda's listens: seconds since an unknown day, rounded to 5; shares in percent.
SELECT
    uid AS listener,
    item_id AS track,
    to_timestamp("timestamp") AS played_at,
    least(played_ratio_pct, 100) / 100 AS share,
    is_organic AS organic
FROM read_csv('yambda.csv')
""",
    ),
}
