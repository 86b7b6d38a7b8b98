"""What is exported of one's own interactions, read as the service reads it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from analysis import aa, power
from analysis.ab import __main__ as ab
from analysis.logs.interactions import Reading, parse_columns
from analysis.offpolicy import __main__ as offpolicy
from botify.errors import ModelError
from botify.model.tracklists import read_track_lists
from looplib.cli import run
from looplib.config import dump_config
from recsys.config import ContextConfig, ExportConfig, SearchConfig
from recsys.dataset.build import build_dataset
from recsys.export import __main__ as publish
from recsys.export.export import export_run
from recsys.ingest.interactions import ingest_interactions
from recsys.models.als import AlsParams
from recsys.report.page import read_titles
from recsys.runs.folder import CONFIG, WINNER, Winner
from recsys.runs.trials import Trial
from recsys.search import __main__ as search
from recsys.store.ids import Title
from recsys.store.remote import open_store
from tests.recsys.in_process import in_process

USERS, ITEMS = 12, 50


PLAYS = "user=u,item=i,share=s,session=n,propensity=p,title=t,artist=a"


def export(
    folder: Path,
    user: Callable[[int], object],
    item: Callable[[int], object],
    columns: str = "user=u,item=i",
    context: ContextConfig | None = None,
) -> Path:
    """Publishes a model of some interactions, or plays, whose ids are made by two functions."""
    generator = np.random.default_rng(3)
    pairs = generator.integers((USERS, ITEMS), size=(400, 2)).tolist()
    rows = [
        {
            "u": user(u),
            "i": item(i),
            "s": i % 11 / 10,
            "n": f"visit {n % 7}",
            "p": 0.5,
            "t": f"No. {i}",
            "a": f"A{i % 9}",
        }
        for n, (u, i) in enumerate(pairs)
    ]
    (folder / "plays.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = Reading(parse_columns(columns))
    ingest_interactions([folder / "plays.jsonl"], folder / "store", reading, memory="200MB")
    config = SearchConfig(store=str(folder / "store"), run=str(folder / "run"), context=context)
    dataset = build_dataset(open_store(config.store), config, in_process(), lambda _done, _word: None)
    Path(config.run).mkdir(exist_ok=True)
    (Path(config.run) / CONFIG).write_text(dump_config(config))
    trial = Trial("trial", "als", AlsParams(4, 0.1, 1.0), 42)
    winner = Winner(trial, 2, {"ndcg@30": (0.0, 0.0, 0.0)}, "ndcg@30", dataset.summary.digest)
    (Path(config.run) / WINNER).write_bytes(orjson.dumps(winner))
    return Path(export_run(config.run, folder / "out", ExportConfig(top=5, neighbours=3)))


def test_lists_of_whole_numbers_load_into_the_service(tmp_path: Path) -> None:
    version = export(tmp_path, lambda user: 1000 + user, lambda item: item)
    with (version / "recommendations.jsonl").open("rb") as file:
        lists = read_track_lists(file, "user", "tracks", USERS, ITEMS)
    assert lists.ids.tolist() == [1000 + user for user in range(USERS)]
    assert [len(lists.list_of(user)) for user in lists.ids.tolist()] == [5] * USERS


def test_lists_of_text_ids_carry_them_and_the_service_refuses_them_in_one_line(tmp_path: Path) -> None:
    version = export(tmp_path, lambda user: f"u{user}", lambda item: f"i{item}")
    lines = [json.loads(line) for line in (version / "recommendations.jsonl").read_text().splitlines()]
    assert {line["user"] for line in lines} == {f"u{user}" for user in range(USERS)}
    neighbours = [json.loads(line) for line in (version / "neighbours.jsonl").read_text().splitlines()]
    assert {line["track"] for line in neighbours} <= {f"i{item}" for item in range(ITEMS)}
    with np.load(version / "factors.npz", allow_pickle=False) as factors:
        assert factors["users"].tolist() == [line["user"] for line in lines]
        assert factors["tracks"].tolist() == [line["track"] for line in neighbours]
    expected = pytest.raises(ModelError, match=r'jsonl:1: \{"user": id, "tracks": \[ids\]\} is expected')
    with expected, (version / "recommendations.jsonl").open("rb") as file:
        read_track_lists(file, "user", "tracks", USERS, ITEMS)


def test_plays_give_a_context_model_a_catalogue_and_estimates_in_the_ids_that_came_in(tmp_path: Path) -> None:
    context = ContextConfig(factors=2, coarse_factors=2, sweeps=1, rough_sweeps=1, coarse_sweeps=1)
    version = export(tmp_path, lambda user: f"u{user}", lambda item: f"i{item}", PLAYS, context)
    catalogue = [json.loads(line) for line in (version / "tracks.json").read_text().splitlines()]
    with np.load(version / "factors.npz", allow_pickle=False) as factors:
        assert [line["track"] for line in catalogue] == factors["tracks"].tolist()
    assert {line["track"]: (line["title"], line["artist"]) for line in catalogue} == {
        f"i{item}": (f"No. {item}", f"A{item % 9}") for item in range(ITEMS)
    }
    with np.load(version / "context.npz", allow_pickle=False) as model:
        assert set(model["tracks"].tolist()) == {f"i{item}" for item in range(ITEMS)}
        openings = list(zip(model["listeners"].tolist(), model["organics"].tolist(), strict=True))
        assert openings == sorted(set(openings))
    titles = read_titles(None, open_store(tmp_path / "store"))
    assert titles["i7"] == Title("i7", "No. 7", "A7")
    lists = f"T1={version / 'recommendations.jsonl'}"
    argv = [
        str(tmp_path / "store"),
        "--recommendations",
        lists,
        "--holdout",
        "all",
        "--out",
        str(tmp_path / "ope.json"),
    ]
    assert run(offpolicy.app, offpolicy.PROG, argv) == 0
    found = json.loads((tmp_path / "ope.json").read_text())
    assert (found["listeners"], found["unfollowed"]) == (USERS, 0)
    assert 0 < found["recommendations"][0]["snips"]["value"] < 1


def test_what_needs_events_is_refused_on_interactions_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, lambda user: user, lambda item: item)
    store = str(tmp_path / "store")
    config = SearchConfig(store=store, run=str(tmp_path / "run"), context=ContextConfig())
    (tmp_path / "run" / CONFIG).write_text(dump_config(config))
    (tmp_path / "search.yaml").write_text(dump_config(config))
    searched, fresh = ["--config", str(tmp_path / "search.yaml"), "--run", str(tmp_path / "new")], "--set"
    lists = str(tmp_path / "out/current/recommendations.jsonl")
    capsys.readouterr()
    for module, argv, message in (
        (ab, [store, "--experiment", "A"], "holds interactions, which have no sessions"),
        (power, [store, "--effect", "5%"], "holds interactions, which have no sessions"),
        (aa, [store], "holds interactions, which have no sessions"),
        (
            offpolicy,
            [store, "--recommendations", lists, "--holdout", "all"],
            "holds interactions, which have no sessions",
        ),
        (search, searched, "context needs event logs, and"),
        (search, [*searched, fresh, "context=null", fresh, "validation.select=ope_time@30"], "ope_time@30 needs event"),
        (
            search,
            [*searched, fresh, "context=null", fresh, "feedback.organic=false"],
            "organic: false needs event logs",
        ),
        (search, [*searched, fresh, "context=null", fresh, "split.kind=time"], "split.kind time needs timestamps"),
        (publish, ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "again")], "context needs event logs, and"),
    ):
        assert run(module.app, module.PROG, argv) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
        assert message in line
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "again").exists()
