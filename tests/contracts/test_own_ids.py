"""What is exported of one's own interactions, read as the service reads it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from analysis.logs.interactions import Reading, parse_columns
from botify.errors import ModelError
from botify.model.tracklists import read_track_lists
from looplib.config import dump_config
from recsys.config import ExportConfig, SearchConfig
from recsys.dataset.build import build_dataset
from recsys.export.export import export_run
from recsys.ingest.interactions import ingest_interactions
from recsys.models.als import AlsParams
from recsys.runs.folder import CONFIG, WINNER, Winner
from recsys.runs.trials import Trial
from recsys.store.remote import open_store
from tests.recsys.in_process import in_process

USERS, ITEMS = 12, 50


def export(folder: Path, user: Callable[[int], object], item: Callable[[int], object]) -> Path:
    """Publishes a model of some interactions whose ids are made by two functions."""
    generator = np.random.default_rng(3)
    pairs = generator.integers((USERS, ITEMS), size=(400, 2)).tolist()
    (folder / "plays.jsonl").write_text("".join(json.dumps({"u": user(u), "i": item(i)}) + "\n" for u, i in pairs))
    reading = Reading(parse_columns("user=u,item=i"))
    ingest_interactions([folder / "plays.jsonl"], folder / "store", reading, memory="200MB")
    config = SearchConfig(store=str(folder / "store"), run=str(folder / "run"))
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
