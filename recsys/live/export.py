"""Learn and write the ranker of the service's recommender `live`, if it beats simple rules.

Calls of a plan: addresses in, files in the export's scratch folder out. A worker reads the sessions
of a partition, the facts of tracks by some sessions, or describes a part of the examples.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.layout import SplitName
from recsys.errors import SearchError
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
from recsys.storage import Workspace, open_workspace
from recsys.store.reader import download_files, open_store

# Each set has the sessions of the next but for a share, the newest.
Which = Literal["oldest", "older", "all"]
_PARTS: Mapping[Which, int] = {"older": 2, "all": 8}  # parts of the examples
_MOST: Mapping[Which, int] = {"older": MOST, "all": PREDICTED}
_BEFORE: Mapping[Which, Which] = {"older": "oldest", "all": "older"}


@dataclass(frozen=True)
class Live:
    """A ranker that is learned, by addresses that workers open."""

    store: str
    dataset: str
    scratch: str  # the folder in which calls leave files for each other
    version: str  # the folder of the version
    config: SearchConfig
    split: SplitName

    @property
    def opened(self) -> Dataset:
        """The dataset."""
        return open_dataset(self.dataset)

    @property
    def workspace(self) -> Workspace:
        """The scratch folder."""
        return open_workspace(self.scratch)


def plan_live(live: Live) -> Plan[Mapping[str, Any] | None]:
    """Compare the ranker with simple rules, learn it from all sessions, and write it.

    A ranker that is not significantly better than each rule is not written, unless the options say
    "anyway".

    Returns:
        The manifest's section about it; None if there are too few sessions.
    """
    parts = open_store(live.store).manifest.parts
    groups = [tuple(files) for _, files in groupby(parts, key=lambda part: part.of)]
    yield [(read_partition, live, number, files) for number, files in enumerate(groups)]
    yield [(join_partitions, live, len(groups))]
    yield [(write_facts, live, which) for which in ("all", "older", "oldest")]
    trees = yield from _plan_trees(live, "older")
    if isinstance(trees, Trees):
        (compared,) = yield [(compare_rules, live, trees)]
    else:
        compared = trees
    if isinstance(compared, str):
        say(f"live is left out: {compared}")
        return None
    figures, is_better = compared
    is_published = is_better or live.config.export.live == "anyway"
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
        trees = yield from _plan_trees(live, "all")
        yield [(write_ranker, live, trees)]
    return {**figures, "published": is_published}


def _plan_trees(live: Live, which: Which) -> Plan[Trees | str]:
    parts = range(_PARTS[which])
    yield [(write_examples, live, which, part) for part in parts]
    trees: Trees | str
    (trees,) = yield [(learn_trees, live, which)]
    return trees


def read_partition(live: Live, number: int, files: Sequence[StoreFile]) -> None:
    """Read the sessions of a partition of the store."""
    store = open_store(live.store)
    paths = download_files(store.address, files)
    table = read_sessions(paths, store, live.config, live.opened, live.split)
    _save(live.workspace, f"sessions-{number}", table._asdict())


def join_partitions(live: Live, partitions: int) -> None:
    """Join the sessions of all partitions."""
    names = [f"sessions-{number}" for number in range(partitions)]
    fields = SessionTable._fields
    tables = (SessionTable(**_load(live.workspace, name, fields)) for name in names)
    _save(live.workspace, "sessions", join_sessions(tables)._asdict())


def load(live: Live, which: Which = "all") -> Sessions:
    """Map the joined sessions, or the older of these."""
    table = SessionTable(**_load(live.workspace, "sessions", SessionTable._fields))
    store = open_store(live.store)
    sessions = as_sessions(table, store, live.opened, live.split)
    for _ in range({"all": 0, "older": 1, "oldest": 2}[which]):
        sessions, _ = sessions.split(HELD_OUT)
    return sessions


def write_facts(live: Live, which: Which) -> None:
    """Gather the facts of tracks by some sessions."""
    facts = gather_facts(load(live, which), call_threads())
    with live.workspace.create(f"facts-{which}") as file:
        pickle.dump(facts, file, pickle.HIGHEST_PROTOCOL)


def load_facts(live: Live, which: Which) -> Facts:
    """Read the facts that `write_facts` has written."""
    with live.workspace.cached(f"facts-{which}").open("rb") as file:
        facts: Facts = pickle.load(file)  # noqa: S301  # nosec B301  a call has written it
        return facts


def write_examples(live: Live, which: Which, part: int) -> None:
    """Describe a part of the examples, the newest of some sessions, by the facts before."""
    facts = load_facts(live, _BEFORE[which])
    sampled = (live.config.seed, _MOST[which], part, _PARTS[which])
    examples = describe_examples(load(live, which), facts, *sampled)
    _save(live.workspace, f"examples-{which}-{part}", examples._asdict())


def learn_trees(live: Live, which: Which) -> Trees | str:
    """Fit trees to the examples; return why they cannot be fitted, if they cannot."""
    names = [f"examples-{which}-{part}" for part in range(_PARTS[which])]
    parts = [
        Examples(**_load(live.workspace, name, Examples._fields)) for name in names
    ]
    try:
        return fit_examples(parts, live.config.seed)
    except SearchError as error:
        return str(error)


def compare_rules(live: Live, trees: Trees) -> tuple[dict[str, Any], bool] | str:
    """Compare trees with simple rules; return why they cannot be compared, if they cannot."""
    facts = load_facts(live, "older")
    try:
        return compare(load(live), facts, live.config.seed, call_threads(), trees)
    except SearchError as error:
        return str(error)


def write_ranker(live: Live, trees: Trees) -> None:
    """Write trees with the facts of all sessions into the version."""
    facts = load_facts(live, "all")
    tracks = np.load(live.workspace.cached("tracks.npy"))
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
    with open_workspace(live.version).create(FILE_NAME) as file:
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
