"""Write the ranker of the service's recommender `live`, if it beats simple rules."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.statistics.effects import Interval
from looplib.next_play import FILE_NAME, LISTS, Lists
from looplib.progress import say
from recsys.cluster.processes import usable_cores
from recsys.errors import SearchError
from recsys.live.gate import METRICS, compare
from recsys.live.ranker import HELD_OUT, gather_facts, learn
from recsys.live.sessions import Sessions
from recsys.store.ids import Ids


def write_live(
    folder: Path, sessions: Sessions, tracks: Ids, seed: int, *, anyway: bool
) -> Mapping[str, Any] | None:
    """Compare the ranker with simple rules, learn it from all sessions, and write it to a folder.

    A ranker that is not significantly better than each rule is not written, unless `anyway`.

    Args:
        folder: Folder of the version.
        sessions: All sessions that may be learned from.
        tracks: Ids of the tracks as they came in.
        seed: Decides which plays are learned from.
        anyway: Whether a ranker that is no better is written.

    Returns:
        The manifest's section about it; None if there are too few sessions.
    """
    threads = usable_cores()
    older, _ = sessions.split(HELD_OUT)
    facts = gather_facts(older, threads)
    try:
        figures, is_better = compare(sessions, facts, seed, threads)
        is_published = is_better or anyway
        trees = learn(sessions, facts, seed) if is_published else None
    except SearchError as error:
        say(f"live is left out: {error}")
        return None
    precision = figures["metrics"]["live"][METRICS[0]][0]
    ratio = Interval(*figures["ratio"])
    line = (
        f"live: {METRICS[0]} {precision:.4f}, {ratio:.2f} x "
        f"that of {figures['best_rule']}"
    )
    if not is_better:
        line += "; live is not significantly better than each simple rule"
    if not is_published:
        line += ", so it is left out; --set export.live=anyway publishes it"
    say(line)
    if trees:
        facts = gather_facts(sessions, threads)
        arrays = {"tracks": tracks, "artists": facts.artists, "plays": facts.plays}
        for name in LISTS:
            lists: Lists = getattr(facts, name)
            arrays[f"{name}_counts"] = lists.ends - lists.starts
            arrays[f"{name}_tracks"] = lists.tracks
            arrays[f"{name}_values"] = lists.values
        np.savez(folder / FILE_NAME, allow_pickle=False, **arrays, **trees._asdict())
    return {**figures, "published": is_published}
