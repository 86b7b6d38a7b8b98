"""The next track of a session (30Music): what was played decides, nobody recommended anything.

A cut in time, as GRU4Rec and session-rec have it: the newest fifth of all sessions is tested, and
all before them is learned from. The gate of `live` scores: it predicts a play from all plays of the
listener before it.
"""

from pathlib import Path

from benchmarks.real.peers import Work
from benchmarks.real.product import THREADS, plan_search
from benchmarks.real.tables import SEED, Table, text
from recsys.live.gate import METRICS, compare
from recsys.live.ranker import HELD_OUT, gather_facts
from recsys.live.sessions import load_sessions
from recsys.store.reader import open_store
from tests.recsys.opened import dataset_of

_COLUMNS = {
    "listener": "UserId",
    "track": "ItemId",
    "played_at": "Time",
    "session": "SessionId",
    "artist": "ArtistId",
}


def measure(file: Path, work: Work) -> Table:
    """Predict next tracks of the tested sessions."""
    config = plan_search([file], work.folder / "store", _COLUMNS, {})
    sessions = load_sessions(open_store(config.store), config, dataset_of(config))
    older, _ = sessions.split(HELD_OUT)
    figures, _ = compare(sessions, gather_facts(older, THREADS), SEED, THREADS)
    rows = [
        [name, *map(text, metrics.values())]
        for name, metrics in figures["metrics"].items()
    ]
    notes = [
        f"precision of live over that of {figures['best_rule']}: {text(figures['ratio'], 2)}",
        f"{figures['predictions']:,} next tracks of {figures['sessions']:,} of the newest "
        f"sessions, after {len(older):,}",
    ]
    return Table("30Music sessions: the next track", ("", *METRICS), rows, notes)
