"""Interactions of your own: any format gives the same store, with the ids that came in."""

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.logs.columns import Reading, parse_columns
from analysis.logs.reader import read_rejects
from recsys.config import SearchConfig, Split, ValidationConfig
from recsys.dataset.dataset import Dataset
from recsys.dataset.plan import plan_dataset
from recsys.errors import SplitError
from recsys.ingest import pipeline
from recsys.store.buckets import bucket_of
from recsys.store.ids import originals
from recsys.store.remote import Store, open_store
from tests.recsys.events import read_rows
from tests.recsys.opened import dataset_of
from tests.recsys.tables import (
    WRITERS,
    Row,
    ingest,
    write_csv,
    write_json,
    write_parquet,
)

COLUMNS = "user=uid,item=song,weight=seconds,timestamp=ts"
GOOD = {"uid": "a", "song": "b", "seconds": 1.5, "ts": 1_700_000_000}


def random_rows(
    seed: int, count: int, *, users: int = 40, items: int = 60
) -> list[Row]:
    """Rows with text ids, some of them with the same user, item and moment."""
    generator = np.random.default_rng(seed)
    return [
        {
            "uid": f"user-{generator.integers(users)} ä,\"'",
            "song": f"song {generator.integers(items)}",
            "seconds": round(float(generator.gamma(2, 90)), 3),
            "ts": 1_700_000_000 + int(generator.integers(50)) * 86_400,
        }
        for _ in range(count)
    ]


def ingested(
    folder: Path, *files: Path, columns: str = COLUMNS, buckets: int | None = 4
) -> Store:
    return pipeline.ingest(
        files,
        folder / "store",
        Reading(parse_columns(columns)),
        buckets=buckets,
        memory="200MB",
    ).store


def dataset_from(store: Store, folder: Path, **settings: Any) -> Dataset:  # noqa: ANN401  sections of the configuration
    config = SearchConfig(store=store.path, run=folder / "run", **settings)
    return dataset_of(config)


def sums(rows: Sequence[Row]) -> dict[tuple[Any, Any], float]:
    total: dict[tuple[Any, Any], float] = defaultdict(float)
    for row in rows:
        total[row["uid"], row["song"]] += row["seconds"]
    return dict(total)


def pairs(store: Store, dataset: Dataset, side: Any) -> dict[tuple[Any, Any], float]:  # noqa: ANN401  a literal
    """What a matrix holds, by the ids that came in."""
    users = originals(store, "users", dataset.users).tolist()
    items = originals(store, "items", dataset.tracks).tolist()
    cells = dataset.matrix(side).tocoo()
    return {
        (users[row], items[column]): float(value)
        for row, column, value in zip(cells.row, cells.col, cells.data, strict=True)
    }


def heldout_pairs(store: Store, dataset: Dataset) -> dict[tuple[Any, Any], float]:
    users = originals(store, "users", dataset.users).tolist()
    items = originals(store, "items", dataset.tracks).tolist()
    rows = pq.read_table(dataset.heldout).to_pylist()
    return {(users[row["user"]], items[row["track"]]): row["time"] for row in rows}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_sums_of_its_rows_by_the_ids_that_came_in(
    name: str, tmp_path: Path
) -> None:
    rows = random_rows(1, 3000)
    store = ingested(tmp_path, WRITERS[name](tmp_path / name, rows))
    dataset = dataset_from(store, tmp_path)
    assert pairs(store, dataset, "total") == pytest.approx(sums(rows), rel=1e-6)
    stored = read_rows(store)
    assert set(bucket_of(np.array([row["user"] for row in stored]), 4).tolist()) == set(
        range(4)
    )
    keys = {(row["uid"], row["song"], row["ts"]) for row in rows}
    assert len(stored) == store.manifest.events == len(keys) < len(rows)
    assert {row["timestamp"] for row in stored} == {row["ts"] * 1000 for row in rows}


@pytest.mark.slow
def test_order_and_number_of_the_runs_do_not_matter(tmp_path: Path) -> None:
    datasets = []
    for name, parts in (("forward", [0, 1, 2]), ("backward", [2, 1, 0])):
        (tmp_path / name).mkdir()
        for part in parts:
            store = ingested(
                tmp_path / name,
                write_csv(tmp_path / name / f"{part}.csv", random_rows(part, 800)),
            )
        datasets.append(dataset_from(store, tmp_path / name))
    files = [sorted(file for file in dataset.path.iterdir()) for dataset in datasets]
    assert datasets[0].path.name == datasets[1].path.name
    assert [file.read_bytes() for file in files[0]] == [
        file.read_bytes() for file in files[1]
    ]


def test_the_same_file_again_adds_nothing_and_repeated_rows_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"uid": "a", "song": 5, "seconds": weight, "ts": 1_700_000_000}
        for weight in (1, 2.5, 4)
    ]
    file = write_csv(tmp_path / "a.csv", rows)
    argv = (file, "--columns", COLUMNS)
    assert ingest(tmp_path / "store", *argv) == 0
    shown = capsys.readouterr().out
    assert (
        "2 rows repeat another's user, item, timestamp and session: their weights are added up"
        in shown
    )
    assert ingest(tmp_path / "store", *argv) == 0
    assert "its content is in the store already" in capsys.readouterr().out
    (row,) = read_rows(open_store(tmp_path / "store"))
    assert (row["track"], row["time"]) == (5, 7.5)


def test_whole_numbers_stay_themselves(tmp_path: Path) -> None:
    rows = [
        {"uid": 10**12 + user, "song": 3 * user, "seconds": 1.0, "ts": 5}
        for user in range(9)
    ]
    for name, write in WRITERS.items():
        folder = tmp_path / name
        folder.mkdir()
        store = ingested(folder, write(folder / name, rows))
        assert {row["user"] for row in read_rows(store)} == {row["uid"] for row in rows}
        assert store.manifest.interactions is not None
        assert (
            store.manifest.interactions.text_users,
            store.manifest.interactions.id_files,
        ) == (False, ())


@pytest.mark.parametrize(
    ("written", "moment_ms"),
    [
        ("1700000000", 1_700_000_000_000),
        ("1700000000.25", 1_700_000_000_250),
        ("1700000000123", 1_700_000_000_123),
        ("2020-01-01", 1_577_836_800_000),
        ("2020-01-01 00:00:01", 1_577_836_801_000),
        ("2020-01-01T02:00:00+02:00", 1_577_836_800_000),
        ("2020-01-01T00:00:00Z", 1_577_836_800_000),
        ("0", 0),
    ],
)
def test_a_timestamp_is_seconds_or_milliseconds_or_a_date(
    written: str, moment_ms: int, tmp_path: Path
) -> None:
    file = write_csv(
        tmp_path / "a.csv", [{"uid": "a", "song": "b", "seconds": 1, "ts": written}]
    )
    (row,) = read_rows(ingested(tmp_path, file))
    assert row["timestamp"] == moment_ms


BAD: list[tuple[Row, str]] = [
    ({"uid": None}, "user is missing"),
    ({"uid": ""}, "user is empty"),
    ({"uid": 1.5}, "user is of type double; a whole number or text is allowed"),
    ({"uid": [1]}, "user is of type array; a whole number or text is allowed"),
    ({"song": None}, "item is missing"),
    ({"seconds": None}, "weight is missing"),
    ({"seconds": "much"}, "weight much is no number"),
    ({"seconds": float("nan")}, "weight NaN; 0 to 1e15 is allowed"),
    ({"seconds": float("inf")}, "weight Infinity; 0 to 1e15 is allowed"),
    ({"seconds": -0.5}, "weight -0.5; 0 to 1e15 is allowed"),
    ({"seconds": 2e15}, "weight 2000000000000000.0; 0 to 1e15 is allowed"),
    ({"ts": None}, "timestamp is missing"),
    (
        {"ts": "soon"},
        "timestamp soon is neither a number of seconds or milliseconds since 1970 nor a date",
    ),
    ({"ts": -1}, "timestamp -1; 1970 to 5138 is allowed"),
]


def test_bad_rows_are_kept_with_their_lines_and_reasons_and_the_others_come_in(
    tmp_path: Path,
) -> None:
    rows = [GOOD, *(GOOD | change for change, _ in BAD), GOOD | {"song": "c"}]
    store = ingested(tmp_path, write_json(tmp_path / "a.jsonl", rows))
    assert store.manifest.events == 2
    (source,) = store.manifest.sources
    assert (source.lines.good, source.lines.rejected) == (2, len(BAD))
    rejects = sorted(
        read_rejects(store.path / source.rejects), key=lambda reject: reject.line
    )
    assert [(reject.line, reject.reason) for reject in rejects] == list(
        enumerate((why for _, why in BAD), start=2)
    )
    assert [reject.text for reject in rejects] == [
        json.dumps(row) for row in rows[1:-1]
    ]


def test_a_csv_line_with_another_number_of_values_is_a_reject_and_later_ones_keep_their_numbers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "uid,song,seconds,ts\na,b,1,5\na,b\na,c,1,5\na,d,x,5\na,e,1,5,9\n,f,1,5\n"
    )
    store = ingested(tmp_path, file)
    (source,) = store.manifest.sources
    rejects = read_rejects(store.path / "rejects" / f"{source.digest}.jsonl")
    assert sorted(reject.line for reject in rejects) == [3, 5, 6, 7]
    assert store.manifest.events == 2


def test_a_later_file_with_ids_of_the_other_kind_has_its_rows_rejected(
    tmp_path: Path,
) -> None:
    ingested(tmp_path, write_csv(tmp_path / "a.csv", [GOOD | {"uid": 7}]))
    store = ingested(
        tmp_path,
        write_csv(
            tmp_path / "b.csv", [GOOD | {"uid": 8, "song": "c"}, GOOD | {"uid": "x"}]
        ),
    )
    assert {row["user"] for row in read_rows(store)} == {7, 8}
    assert sum(source.lines.rejected for source in store.manifest.sources) == 1


def refusal(capsys: pytest.CaptureFixture[str], folder: Path, *argv: object) -> str:
    before = sorted(folder.rglob("*"))
    assert ingest(folder / "store", *argv) == 2
    shown = capsys.readouterr().err.splitlines()
    assert sum("error:" in line for line in shown) == 1
    assert {path.name for path in {*folder.rglob("*")} - {*before}} <= {
        "store",
        ".lock",
    }
    return next(line for line in shown if "error:" in line)


ASKED = ("--columns", COLUMNS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: empty; at least one row is expected"),
        (
            "a.csv",
            b"uid,song,seconds,ts\n",
            "a.csv: empty; at least one row is expected",
        ),
        ("a.jsonl", b"\n\n", "a.jsonl: empty; at least one row is expected"),
        (
            "a.csv",
            b"uid,song,ts\na,b,1\n",
            "a.csv: no column seconds; found are uid, song, ts",
        ),
        ("a.parquet", b"PAR1", "a.parquet: cannot be read as .parquet"),
        ("a.csv.gz", b"uid,song", "a.csv.gz: cannot be read as .csv"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"uid": 1}' * 99, mtime=0)[:-12],
            "a.jsonl.gz: cannot be read as .jsonl",
        ),
        ("a.xls", b"uid", "a.xls: no file of interactions; known are .csv"),
        ("a.csv", b"uid,song,seconds,ts\na,b,-1,1\n", "the first line refused is"),
        (
            "a.jsonl",
            b'{"uid": 1, "song": 1, "seconds": 1, "ts": 1}\n'
            b'{"uid": "x", "song": 1, "seconds": 1, "ts": 1}\n',
            "mixed users: 1 rows have a number and 1 have text",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_written(
    name: str,
    content: bytes,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refusal(capsys, tmp_path, tmp_path / name, *ASKED)


def test_an_id_column_that_is_neither_numbers_nor_text_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_parquet(tmp_path / "a.parquet", [GOOD | {"uid": 1.0}])
    assert "column uid is of type DOUBLE; ids are whole numbers or text" in refusal(
        capsys, tmp_path, file, *ASKED
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("user=uid", "item not given"),
        ("user=uid,item", "'item': expected name=column, such as user=uid"),
        ("user=uid,item=song,wieght=s", "wieght: unknown; the nearest is weight"),
        ("user=uid,item=song,user=x", "user: given twice"),
    ],
)
def test_wrong_columns_are_refused(
    columns: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "a.csv", [GOOD])
    assert message in refusal(capsys, tmp_path, file, "--columns", columns)


@pytest.mark.parametrize(
    ("asked", "delimiter"), [(r"\t", "\t"), ("::", "::"), (None, "\t"), (None, ";")]
)
def test_a_file_without_header_is_read_by_position(
    asked: str | None, delimiter: str, tmp_path: Path
) -> None:
    rows = ("196", "242", "3", "881250949"), ("186", "302", "3", "891717742")
    (tmp_path / "u.data").write_text(
        "".join(delimiter.join(row) + "\n" for row in rows)
    )
    argv = ["--set", "header=false", "--columns", "user=1,item=2,weight=3,timestamp=4"]
    argv += ["--delimiter", asked] if asked else []
    assert ingest(tmp_path / "store", tmp_path / "u.data", *argv) == 0
    store = open_store(tmp_path / "store")
    found = {
        (row["user"], row["track"], row["time"], row["timestamp"])
        for row in read_rows(store)
    }
    assert found == {(196, 242, 3.0, 881_250_949_000), (186, 302, 3.0, 891_717_742_000)}


def test_without_weights_each_row_weighs_one_and_without_moments_a_pair_is_on_one_side_whole(
    tmp_path: Path,
) -> None:
    rows = random_rows(3, 2000, users=20, items=50)
    file = write_csv(
        tmp_path / "a.csv", [{"uid": row["uid"], "song": row["song"]} for row in rows]
    )
    store = ingested(tmp_path, file, columns="user=uid,item=song")
    dataset = dataset_from(
        store,
        tmp_path,
        split=Split(holdout=0.3),
        validation=ValidationConfig(min_time=1.0),
    )
    expected = sums([row | {"seconds": 1.0} for row in rows])
    train, heldout = pairs(store, dataset, "train"), heldout_pairs(store, dataset)
    assert pairs(store, dataset, "total") == train | heldout == expected
    assert not train.keys() & heldout.keys()
    assert 0.2 < len(heldout) / len(expected) < 0.4


def test_a_published_split_is_kept(tmp_path: Path) -> None:
    """Train, test and a third file that is on neither side."""
    sides = {
        name: random_rows(seed, 600)
        for seed, name in enumerate(("train", "test", "valid"))
    }
    store = ingested(
        tmp_path,
        *(write_csv(tmp_path / f"{name}.csv", rows) for name, rows in sides.items()),
    )
    split = Split(kind="files", train=("train.csv",), test=(str(tmp_path / "te*.csv"),))
    dataset = dataset_from(store, tmp_path, split=split)
    assert pairs(store, dataset, "train") == pytest.approx(
        sums(sides["train"]), rel=1e-6
    )
    assert heldout_pairs(store, dataset) == pytest.approx(sums(sides["test"]))
    assert pairs(store, dataset, "total") == pytest.approx(
        sums(sides["train"] + sides["test"]), rel=1e-6
    )


def test_without_a_test_file_a_share_of_the_training_file_chooses_and_the_others_are_left_out(
    tmp_path: Path,
) -> None:
    sides = {
        name: random_rows(seed, 600) for seed, name in enumerate(("train", "test"))
    }
    store = ingested(
        tmp_path,
        *(write_csv(tmp_path / f"{name}.csv", rows) for name, rows in sides.items()),
    )
    dataset = dataset_from(
        store, tmp_path, split=Split(kind="files", train=("train.csv",), holdout=0.3)
    )
    assert pairs(store, dataset, "total") == pytest.approx(
        sums(sides["train"]), rel=1e-6
    )
    facts = dataset.summary
    assert 0.2 * facts.sessions < facts.heldout_sessions < 0.4 * facts.sessions


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"split": Split(kind="files", train=("a.csv",), test=("b.csv",))},
            "split.test: no file b.csv in",
        ),
        (
            {"split": Split(kind="files", train=("a.csv",), test=("*.csv",))},
            "a file is on one side",
        ),
        ({"split": Split(kind="time")}, "split.kind time needs timestamps"),
        (
            {"split": Split(kind="last_session")},
            "split.kind last_session needs timestamps",
        ),
        (
            {"validation": ValidationConfig(select="ope_time@30")},
            "validation.select: ope_time@30 needs event logs",
        ),
    ],
)
def test_what_interactions_cannot_give_is_refused(
    settings: Row, message: str, tmp_path: Path
) -> None:
    store = ingested(
        tmp_path, write_csv(tmp_path / "a.csv", [GOOD]), columns="user=uid,item=song"
    )
    with pytest.raises(SplitError, match=message):
        plan_dataset(
            store,
            SearchConfig(store=tmp_path / "store", run=tmp_path / "run", **settings),
        )


def test_what_is_all_of_one_listener_is_refused(tmp_path: Path) -> None:
    rows = [GOOD | {"song": song, "ts": 86_400 * song} for song in range(20)]
    store = ingested(tmp_path, write_csv(tmp_path / "a.csv", rows))
    with pytest.raises(SplitError, match="all rows are of one listener"):
        dataset_from(store, tmp_path, split=Split(holdout=0.5))


def test_what_is_read_from_the_same_bytes_depends_on_columns_but_no_titles() -> None:
    columns = "user=uid,item=song,timestamp=ts"
    content = Reading(parse_columns(columns)).content
    assert Reading(parse_columns(f"{columns},title=name")).content == content
    assert Reading(parse_columns(f"{columns},share=heard")).content != content


def test_by_time_the_newest_interactions_are_held_out(tmp_path: Path) -> None:
    rows = random_rows(5, 1000)
    store = ingested(tmp_path, write_csv(tmp_path / "a.csv", rows))
    dataset = dataset_from(store, tmp_path, split=Split(kind="time", holdout=0.2))
    moments = sorted({row["ts"] for row in rows})
    cutoff = next(
        moment
        for moment in moments
        if len({(row["uid"], row["ts"]) for row in rows if row["ts"] >= moment})
        <= 0.2 * len({(row["uid"], row["ts"]) for row in rows})
    )
    assert heldout_pairs(store, dataset) == pytest.approx(
        sums([row for row in rows if row["ts"] >= cutoff])
    )
