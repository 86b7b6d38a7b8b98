"""Learn and write the ranker of the service's recommender `live`, if it beats simple rules.

Calls of a plan: addresses in, files in the export's scratch folder out. A worker reads the sessions
of a partition, the facts of tracks by some sessions, or describes a part of the examples.
"""

import pickle
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np

from analysis.statistics.effects import Interval
from analysis.store import StoreFile
from looplib.next_play import FILE_NAME, LISTS, Facts, Lists
from looplib.progress import say
from looplib.trees import Trees
from recsys.cluster.cluster import Plan
from recsys.cluster.processes import call_threads
from recsys.errors import SearchError
from recsys.export.plan import Export, read_ids
from recsys.live.gate import METRICS, MOST, compare
from recsys.live.ranker import (
    HELD_OUT,
    PREDICTED,
    Examples,
    describe_examples,
    fit_examples,
    gather_facts,
)
from recsys.live.sessions import (
    Sessions,
    SessionTable,
    as_sessions,
    join_sessions,
    read_sessions,
)
from recsys.storage import Workspace
from recsys.store.reader import download_files, open_store

# Each set has the sessions of the next but for a share, the newest.
Which = Literal["oldest", "older", "all"]
_PARTS: Mapping[Which, int] = {"older": 2, "all": 8}  # parts of the examples
_MOST: Mapping[Which, int] = {"older": MOST, "all": PREDICTED}
_BEFORE: Mapping[Which, Which] = {"older": "oldest", "all": "older"}


def plan_live(export: Export) -> Plan[Mapping[str, Any] | None]:
    """Compare the ranker with simple rules, learn it from all sessions, and write it.

    A ranker that is not significantly better than each rule is not written, unless the options say
    "anyway".

    Returns:
        The manifest's section about it; None if there are too few sessions.
    """
    parts = open_store(export.store).manifest.parts
    groups = [tuple(files) for _, files in groupby(parts, key=lambda part: part.of)]
    yield [
        (read_partition, export, number, files) for number, files in enumerate(groups)
    ]
    yield [(join_partitions, export, len(groups))]
    yield [(write_facts, export, which) for which in ("all", "older", "oldest")]
    trees = yield from _plan_trees(export, "older")
    if isinstance(trees, Trees):
        (compared,) = yield [(compare_rules, export, trees)]
    else:
        compared = trees
    if isinstance(compared, str):
        say(f"live is left out: {compared}")
        return None
    figures, is_better = compared
    is_published = is_better or export.config.export.live == "anyway"
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
    if is_published:
        trees = yield from _plan_trees(export, "all")
        yield [(write_ranker, export, trees)]
    return {**figures, "published": is_published}


def _plan_trees(export: Export, which: Which) -> Plan[Trees | str]:
    parts = range(_PARTS[which])
    yield [(write_examples, export, which, part) for part in parts]
    trees: Trees | str
    (trees,) = yield [(learn_trees, export, which)]
    return trees


def read_partition(export: Export, number: int, files: Sequence[StoreFile]) -> None:
    """Read the sessions of a partition of the store."""
    store = open_store(export.store)
    paths = download_files(store.address, files)
    table = read_sessions(paths, store, export.config, export.dataset, export.split)
    _save(export.workspace, f"sessions-{number}", table._asdict())


def join_partitions(export: Export, partitions: int) -> None:
    """Join the sessions of all partitions."""
    names = [f"sessions-{number}" for number in range(partitions)]
    fields = SessionTable._fields
    tables = (SessionTable(**_load(export.workspace, name, fields)) for name in names)
    _save(export.workspace, "sessions", join_sessions(tables)._asdict())


def load(export: Export, which: Which = "all") -> Sessions:
    """Map the joined sessions, or the older of these."""
    table = SessionTable(**_load(export.workspace, "sessions", SessionTable._fields))
    store = open_store(export.store)
    sessions = as_sessions(table, store, export.dataset, export.split)
    for _ in range({"all": 0, "older": 1, "oldest": 2}[which]):
        sessions, _ = sessions.split(HELD_OUT)
    return sessions


def write_facts(export: Export, which: Which) -> None:
    """Gather the facts of tracks by some sessions."""
    facts = gather_facts(load(export, which), call_threads())
    with export.workspace.create(f"facts-{which}") as file:
        pickle.dump(facts, file, pickle.HIGHEST_PROTOCOL)


def load_facts(export: Export, which: Which) -> Facts:
    """Read the facts that `write_facts` has written."""
    with export.workspace.cached(f"facts-{which}").open("rb") as file:
        facts: Facts = pickle.load(file)  # noqa: S301  # nosec B301  a call has written it
        return facts


def write_examples(export: Export, which: Which, part: int) -> None:
    """Describe a part of the examples, the newest of some sessions, by the facts before."""
    facts = load_facts(export, _BEFORE[which])
    sampled = (export.config.seed, _MOST[which], part, _PARTS[which])
    examples = describe_examples(load(export, which), facts, *sampled)
    _save(export.workspace, f"examples-{which}-{part}", examples._asdict())


def learn_trees(export: Export, which: Which) -> Trees | str:
    """Fit trees to the examples; return why they cannot be fitted, if they cannot."""
    names = [f"examples-{which}-{part}" for part in range(_PARTS[which])]
    parts = [
        Examples(**_load(export.workspace, name, Examples._fields)) for name in names
    ]
    try:
        return fit_examples(parts, export.config.seed)
    except SearchError as error:
        return str(error)


def compare_rules(export: Export, trees: Trees) -> tuple[dict[str, Any], bool] | str:
    """Compare trees with simple rules; return why they cannot be compared, if they cannot."""
    facts = load_facts(export, "older")
    try:
        return compare(load(export), facts, export.config.seed, call_threads(), trees)
    except SearchError as error:
        return str(error)


def write_ranker(export: Export, trees: Trees) -> None:
    """Write trees with the facts of all sessions into the version."""
    facts = load_facts(export, "all")
    tracks = read_ids(export)[1]
    points = [np.empty((len(facts.plays), 0), np.float32), *facts.points]
    arrays = {
        "tracks": tracks,
        "groups": np.vstack(facts.groups),
        "widths": np.array([*map(len, facts.groups)], np.int64),
        "points": np.hstack(points),
        "dimensions": np.array([rows.shape[1] for rows in facts.points], np.int64),
        "plays": facts.plays,
        "skips": facts.skips,
    }
    for name in LISTS:
        lists: Lists = getattr(facts, name)
        arrays[f"{name}_counts"] = lists.ends - lists.starts
        arrays[f"{name}_tracks"] = lists.tracks
        arrays[f"{name}_values"] = lists.values
    with export.version.create(FILE_NAME) as file:
        np.savez(file, allow_pickle=False, **arrays, **trees._asdict())


def _save(workspace: Workspace, name: str, arrays: Mapping[str, Any]) -> None:
    for field, array in arrays.items():
        with workspace.create(f"{name}-{field}.npy") as file:
            np.save(file, array)


def _load(workspace: Workspace, name: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """Map arrays that `_save` has written."""
    return {
        field: np.load(workspace.cached(f"{name}-{field}.npy"), mmap_mode="c")
        for field in fields
    }
