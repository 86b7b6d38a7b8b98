"""The next track of a session (30Music): what was played decides, nobody recommended anything.

A cut in time, as GRU4Rec and session-rec have it: the newest fifth of all sessions is tested, and
all before them is learned from. The gate of `live` scores: it predicts plays from all plays of the
listener before them.
"""

from pathlib import Path

import numpy as np

from benchmarks.real.files import read_columns
from benchmarks.real.peers import Work
from benchmarks.real.product import THREADS
from benchmarks.real.tables import SEED, Table, text
from recsys.live.gate import MRR, NAME, PRECISION, compare
from recsys.live.ranker import HELD_OUT, gather_facts
from recsys.live.sessions import Sessions


def measure(file: Path, _work: Work) -> Table:
    """Predict next tracks of the tested sessions."""
    sessions = read_sessions(file)
    older, _ = sessions.split(HELD_OUT)
    scored = compare(sessions, gather_facts(older, THREADS), SEED, THREADS)
    rows = [
        [name, *map(text, metrics.values())] for name, metrics in scored.metrics.items()
    ]
    notes = [
        f"precision of {NAME} over that of {scored.best_rule}: {text(scored.ratio, 2)}",
        f"{scored.predictions:,} next tracks of {scored.sessions:,} of the newest sessions, "
        f"after {len(older):,}",
    ]
    return Table("30Music sessions: the next track", ("", PRECISION, MRR), rows, notes)


def read_sessions(file: Path) -> Sessions:
    """Read sessions, with the artist of each track."""
    names = ("UserId", "SessionId", "ItemId", "Time", "ArtistId", "slice")
    columns = read_columns(file, *names)
    # a session's name may come again in another window
    columns = columns[:, np.lexsort((columns[3], columns[1], columns[5], columns[0]))]
    is_first = np.append(True, (np.diff(columns[[0, 1, 5]]) != 0).any(axis=0))
    session = is_first.cumsum() - 1
    start = columns[3, is_first][session]
    # listener by listener, the oldest first
    order = np.lexsort((session, start, columns[0]))
    user, _, item, _, artist, _ = columns[:, order]
    starts = np.flatnonzero(np.append(True, np.diff(session[order]) != 0))
    users, listener = np.unique(user, return_inverse=True)
    tracks, track = np.unique(item, return_inverse=True)
    artists = np.zeros(len(tracks), np.int32)
    artists[track] = np.unique(artist, return_inverse=True)[1]
    return Sessions(
        np.append(starts, len(user)),
        track.astype(np.int32),
        listener[starts],
        1000 * start[order][starts],
        artists,
        len(users),
    )
