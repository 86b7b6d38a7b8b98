"""Files of plays as owners bring them, and how `ingest` is told to read them."""

import json
from collections.abc import Callable, Sequence

PLAYS = [(user, play) for play in range(40) for user in range(6)]


def table(names: str, row: Callable[[int, int], Sequence[object]]) -> str:
    """Text of a CSV file with a row for each play of each listener."""
    lines = [names, *(",".join(map(str, row(*play))) for play in PLAYS)]
    return "\n".join(lines) + "\n"


# file name → its text, and the words of the ingest that reads it
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
        "--preset lastfm-1k",
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
        "--columns user=username,item=artist+track,timestamp=utc_time,title=track,artist=artist",
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
        "--columns user=username,item=track_uri,timestamp=ts,played=ms_played,duration=duration_ms",
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
        "--columns user=listener_name,item=song_title,timestamp=played_at,"
        "played=seconds_listened,duration=song_seconds,title=song_title,artist=artist_name",
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
        "--columns user=user_id,item=track_id,timestamp=event_time,played=played_ms,"
        "duration=track_duration_ms --where '\"event_type\" IN ('\"'\"'play_end'\"'\"')'",
    ),
    "ratings.dat": (
        "\n".join(f"{u + 1}::{n + 1}::{1 + n % 5}::{978300760 + n}" for u, n in PLAYS),
        "--columns user=1,item=2,timestamp=4 --where 'CAST(\"3\" AS DOUBLE) >= 4' "
        "--delimiter :: --set header=false",
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
        "--columns user=account_id,item=song_id,session=session_id,share=percent_played"
        " --set percent=true",
    ),
    "counts.csv": (
        table("User ID,Track ID,Play Count", lambda u, n: (f"u{u}", n, 10 ** (n % 4))),
        "--columns 'user=User ID,item=Track ID,weight=Play Count'",
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
        "--columns user=user_pseudo_id,item=item_id,timestamp=event_timestamp,"
        "share=listen_ratio,organic=is_organic",
    ),
    "american.csv": (
        table(
            "Listener UUID,Product ID,Played At,Minutes Played",
            lambda u, n: (f"u{u}", n % 9, f"{1 + n % 12}/{1 + n % 28}/2025 2:05 PM", n),
        ),
        "--columns 'user=Listener UUID,item=Product ID,weight=Minutes Played,"
        "timestamp=Played At' --where 'TRY_CAST(\"Minutes Played\" AS DOUBLE) >= 0.5' "
        "--set 'date_format=%m/%d/%Y %I:%M %p' --set weight_scale=60.0",
    ),
    "german.csv": (
        table(
            "user;track;gespielt am;minutes_played",
            lambda u, n: (f"u{u};t{n % 9};{1 + n % 28}.1.2025;1.0{n:02},5",),
        ),
        "--columns 'user=user,item=track,weight=minutes_played,timestamp=gespielt am,"
        "title=track' --where 'TRY_CAST(translate(\"minutes_played\", '\"'\"',.'\"'\"', "
        "'\"'\"'.'\"'\"') AS DOUBLE) >= 0.5' --set decimal=comma --set date_format=%d.%m.%Y "
        "--set weight_scale=60.0",
    ),
    "stars.inter": (
        table(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            lambda u, n: (f"{u}\t{n}\t{1 + n % 5}\t{978300760 + n}",),
        ),
        "--columns user=user_id:token,item=item_id:token,timestamp=timestamp:float "
        "--where 'CAST(\"rating:float\" AS DOUBLE) >= 4'",
    ),
    "days.csv": (
        table(
            "uid,song,date,ms_played",
            lambda u, n: (u, n % 9, 20250101 + n % 28, n * 1000),
        ),
        "--columns user=uid,item=song,weight=ms_played,timestamp=date "
        "--where 'TRY_CAST(\"ms_played\" AS DOUBLE) >= 30000' "
        "--set date_format=%Y%m%d --set weight_scale=0.001",
    ),
    "clock.csv": (
        table(
            "user,track,played_at,listened",
            lambda u, n: (u, n % 9, f"2026-01-05 10:{n:02}", f"{n}:30"),
        ),
        "--columns user=user,item=track,weight=listened,timestamp=played_at "
        "--where 'TRY_CAST(list_reduce(TRY_CAST(string_split(\"listened\", '\"'\"':'\"'\"') "
        "AS DOUBLE[]), lambda total, part : 60 * total + part) AS DOUBLE) >= 30'",
    ),
    "activity.csv": (
        table(
            "Event Type,Account,Song Name,Start Position In Milliseconds,"
            "Media Duration In Milliseconds,Play Duration Milliseconds,Device",
            lambda u, n: ("PLAY_END", f"u{u}", n % 9, 0, 200_000, n * 5000, "phone"),
        ),
        "--columns 'user=Account,item=Song Name,weight=Play Duration Milliseconds' "
        "--where '(\"Event Type\" IN ('\"'\"'PLAY_END'\"'\"')) AND "
        'TRY_CAST("Play Duration Milliseconds" AS DOUBLE) >= 30000\' '
        "--set weight_scale=0.001",
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
        "--columns user=user,item=track,timestamp=date+time "
        "--set 'date_format=%d/%m/%Y %H:%M:%S'",
    ),
    "nanos.csv": (
        table(
            "user,track,played_at_ns",
            lambda u, n: (u, n % 9, 1_767_225_600_000_000_000 + n * 10**12),
        ),
        "--columns user=user,item=track,timestamp=played_at_ns",
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
        "--columns user=userId,item=properties.track_id,timestamp=sentAt "
        "--where '\"event\" IN ('\"'\"'Song Played'\"'\"')'",
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
        "--columns 'user=playlists[].pid,item=playlists[].tracks[].track_uri'",
    ),
    "shop.csv": (
        table(
            "visitor_id,product_id,event_type",
            lambda u, n: (u, n % 9, ("view", "view", "cart", "purchase")[n % 4]),
        ).replace("visitor_id", "customer"),
        "--columns user=customer,item=product_id,event=event_type:cart=2,purchase=5,view=1",
    ),
    "yambda.csv": (
        table(
            "uid,item_id,timestamp,is_organic,played_ratio_pct,track_length_seconds",
            lambda u, n: (u, n % 9, n * 100, n % 2, n, 200),
        ),
        "--preset yambda",
    ),
}
