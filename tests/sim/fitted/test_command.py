"""Worlds fitted to listening: `python -m sim.world from-interactions`."""

import gzip
import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import orjson
import pytest

from looplib.config import load_config
from sim.fitted.command import make_fitted_world
from sim.fitted.world import FitConfig
from sim.world import main
from sim.worlds.files import TrackRecord, load_world, read_records, world_digest
from tests.sim.fitted.fits import FACTORS, Data, make_data, write_factors

FILES = ["fit.json", "fit.yaml", "tracks.json", "tracks.npy", "users.json"]
QUICK = ["--set", "sessions=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fitted(data: Data) -> Path:
    folder = data.folder / "fitted"
    with redirect_stdout(io.StringIO()) as shown:
        assert main(data.words(folder, "--catalogue", data.catalogue)) == 0
    (data.folder / "shown.txt").write_text(shown.getvalue())
    return folder


def test_popularity_and_co_listening_are_those_of_the_data(fitted: Path) -> None:
    found = orjson.loads((fitted / "fit.json").read_bytes())["reproduction"]
    assert found["gini"] == pytest.approx(found["data_gini"], abs=0.05)
    assert found["popularity"] > 0.7
    assert found["held_out"] == pytest.approx(found["held_out_data"], abs=0.1)
    assert found["co_listening"] > 0.35 > 5 * found["chance"] > 0


def test_sessions_and_near_tracks_are_heard_as_is_wanted(fitted: Path) -> None:
    found = orjson.loads((fitted / "fit.json").read_bytes())
    assert found["listening"]["time"] == pytest.approx(
        FitConfig().random_listening, abs=0.15
    )
    assert found["tuning"]["near_share"] == pytest.approx(
        FitConfig().near_share, abs=0.02
    )


def test_a_fitted_world_is_a_world_with_the_datas_ids_and_texts_beside_its_own(
    data: Data, fitted: Path
) -> None:
    assert sorted(path.name for path in fitted.iterdir()) == FILES
    world, true = load_world(fitted), load_world(data.folder / "world")
    assert (world.tracks, world.listeners) == (600, 250)
    assert world.artist.tolist() == true.artist.tolist()
    texts = [
        list(read_records(folder / "tracks.json", TrackRecord))
        for folder in (fitted, data.folder / "world")
    ]
    assert texts[0] == texts[1]
    assert np.linalg.norm(world.embeddings, axis=1) == pytest.approx(
        np.linalg.norm(world.embeddings[0]), rel=1e-5
    )
    assert set(world.gamma) == {0.8}
    assert load_config(FitConfig, fitted / "fit.yaml") == FitConfig()


def test_interests_are_the_tracks_that_the_listener_heard_with_their_weights(
    data: Data, fitted: Path
) -> None:
    heard = {(row["user"], row["track"]): float(row["weight"]) for row in data.rows()}
    users = [
        orjson.loads(line) for line in (fitted / "users.json").read_bytes().splitlines()
    ]
    found = {
        (str(user["id"]), str(track)): weight
        for user in users
        for track, weight in zip(
            user["interests"], user["interest_weights"], strict=True
        )
    }
    assert found == pytest.approx(
        {pair: weight for pair, weight in heard.items() if weight}
    )


def test_a_response_of_a_fitted_world_is_heeded(data: Data, tmp_path: Path) -> None:
    config = load_config(
        FitConfig, overrides=["response.noise=1", "gamma=0.6", "seed=4"]
    )
    make_fitted_world([data.plays], data.export, data.catalogue, config, tmp_path / "w")
    world = load_world(tmp_path / "w")
    assert (world.response.noise, world.response.organic_neighbours, world.seed) == (
        1.0,
        10,
        4,
    )
    assert set(world.gamma) == {0.6}


def test_the_command_says_what_it_made_and_makes_it_once(
    data: Data, fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = (data.folder / "shown.txt").read_text()
    for part in (
        "600 tracks, 120 artists, 250 listeners",
        "2.12 wanted",
        "rank correlation",
        "co-listening",
    ):
        assert part in shown
    before = world_digest(fitted)
    assert main(data.words(fitted, "--catalogue", data.catalogue)) == 2
    assert f"{fitted}: exists; name a new folder" in capsys.readouterr().err
    assert world_digest(fitted) == before


def test_the_same_inputs_give_the_same_bytes_whatever_the_order_of_the_files(
    data: Data, fitted: Path, tmp_path: Path
) -> None:
    rows = data.rows()
    half = len(rows) // 2
    heads = "user,other,weight,track\r\n", "weight,user,track\n"
    texts = [
        f"{row['user']},x,{row['weight']},{row['track']}\r\n" for row in rows[:half]
    ]
    others = [f"{row['weight']},{row['user']},{row['track']}\n" for row in rows[half:]]
    (tmp_path / "a.csv").write_text(heads[1] + "".join(others))
    (tmp_path / "b.csv.gz").write_bytes(
        gzip.compress(b"\xef\xbb\xbf" + (heads[0] + "".join(texts)).encode(), mtime=0)
    )
    parts = [tmp_path / "a.csv", tmp_path / "b.csv.gz"]
    make_fitted_world(
        parts, data.export, data.catalogue, FitConfig(), tmp_path / "parts"
    )
    assert world_digest(fitted) == world_digest(tmp_path / "parts")
    facts = [
        orjson.loads((folder / "fit.json").read_bytes())
        for folder in (fitted, tmp_path / "parts")
    ]
    assert facts[0].pop("inputs") != facts[1].pop("inputs")
    assert facts[0] == facts[1], "what is measured is the same too"


def _small(
    tmp_path: Path, rows: str = "user,track,weight\nu1,x,2\n\nu2,y,1\nu2,z,1\nu2,z,1\n"
) -> list[str]:
    """A command line on three users, of whom one heard nothing, and four tracks with text ids, one without factors."""
    items = np.eye(4, FACTORS)
    items[3] = 0
    export = write_factors(
        tmp_path / "data", ["u1", "u2", "u3"], ["x", "y", "z", "new"], items
    )
    (tmp_path / "data" / "plays.csv").write_text(rows)
    return Data(tmp_path / "data").words(tmp_path / "w", "--export", export, *QUICK)


def test_text_ids_are_numbered_and_silent_listeners_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_small(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "4 tracks, 4 artists, 2 listeners" in shown
    assert "1 listeners of the factors heard nothing" in shown
    assert "1 tracks have factors of 0" in shown
    users = [
        orjson.loads(line)
        for line in (tmp_path / "w" / "users.json").read_bytes().splitlines()
    ]
    assert [(user["user"], user["id"], user["interests"]) for user in users] == [
        (0, "u1", [0]),
        (1, "u2", [2, 1]),
    ]
    tracks = [
        orjson.loads(line)
        for line in (tmp_path / "w" / "tracks.json").read_bytes().splitlines()
    ]
    assert [(track["track"], track["id"]) for track in tracks] == [
        (0, "x"),
        (1, "y"),
        (2, "z"),
        (3, "new"),
    ]
    assert [track["popularity"] for track in tracks] == [1.6, 0.8, 1.6, 0.0]
    assert np.isfinite(load_world(tmp_path / "w").embeddings).all()


def _refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line with which a command is refused, which has left nothing."""
    assert main(words) == 2
    error = capsys.readouterr().err.splitlines()
    assert len([line for line in error if "error:" in line]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    return error[-1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "plays.csv: holds no interactions"),
        ("user,item,weight\nu1,x,1\n", "plays.csv:2: track: Field required"),
        (
            "user,track,weight\nu1,x,1\nu9,x,1\n",
            "plays.csv:3: user 'u9' is not in the export's factors",
        ),
        (
            "user,track,weight\nu1,t,1\n",
            "plays.csv:2: track 't' is not in the export's factors",
        ),
        (
            "user,track,weight\nu1,x,-1\n",
            "plays.csv:2: weight: Input should be greater than or equal to 0",
        ),
        ("user,track,weight\nu1,x,nan\n", "plays.csv:2: weight: Input should be"),
        (
            "user,track,weight\nu1,x,\n",
            "plays.csv:2: weight: Input should be a valid number",
        ),
        ("user,track,weight\nu1,x,1,2\n", "plays.csv:2: more values than columns"),
        ('user,track,weight\nu1,"x,1\n', "plays.csv: not CSV after line 1"),
        ("user,track,weight\nu1,x,0\n", "every weight is 0"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, message: str
) -> None:
    assert message in _refused(_small(tmp_path, rows), tmp_path, capsys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            b"user,track,weight\nu1,\xff,1\n",
            "a.csv: cannot be read ('utf-8' codec",
        ),
        ("a.csv.gz", b"user,track,weight\n", "a.csv.gz: cannot be read"),
        (
            "a.csv.gz",
            gzip.compress(b"user,track,weight\nu1,x,1\n", mtime=0)[:-9],
            "a.csv.gz: cannot be read",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    message: str,
) -> None:
    words = _small(tmp_path)
    (tmp_path / "data" / name).write_bytes(content)
    assert message in _refused(
        [words[0], str(tmp_path / "data" / name), *words[2:]], tmp_path, capsys
    )


def test_a_damaged_file_of_factors_is_refused_wherever_it_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, path = _small(tmp_path), tmp_path / "data" / "factors.npz"
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "factors.npz: not a readable file of NumPy arrays" in _refused(
            words, tmp_path, capsys
        )
    np.save(path.with_name("one.npy"), np.eye(3))
    path.with_name("one.npy").replace(path)
    assert "factors.npz: not a readable file of NumPy arrays" in _refused(
        words, tmp_path, capsys
    )


@pytest.mark.parametrize(
    ("users", "tracks", "items", "message"),
    [
        (
            ["u1", "u1"],
            ["x"],
            np.ones((1, FACTORS)),
            "users: different ids are expected",
        ),
        (
            ["u1"],
            [0.5],
            np.ones((1, FACTORS)),
            "tracks: different ids are expected, found float64",
        ),
        (["u1"], [], np.ones((0, FACTORS)), "tracks: different ids are expected"),
        (
            ["u1"],
            ["x"],
            np.ones((2, FACTORS)),
            "item_factors: floats (1, factors) expected, found float64 (2, 16)",
        ),
        (
            ["u1"],
            ["x"],
            np.full((1, FACTORS), np.nan),
            "the factors of track x hold NaN",
        ),
        (
            [object()],
            ["x"],
            np.ones((1, FACTORS)),
            "factors.npz: not a readable file of NumPy arrays",
        ),
    ],
)
def test_factors_that_do_not_go_together_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    users: list[object],
    tracks: list[object],
    items: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    message: str,
) -> None:
    words = _small(tmp_path)
    write_factors(tmp_path / "data", np.array(users), np.array(tracks), items)
    assert message in _refused(words, tmp_path, capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"track":"x","artist":"a"}\n',
            "3 tracks of the factors are not in it, 'y' for one",
        ),
        (b'{"track":"x","title":"a"}\n', "tracks.json:1: artist: Field required"),
        (b'{"track":"x","artist":"a","title":[]}\n', "tracks.json:1: title"),
        (b"{\n", "tracks.json:1: Invalid JSON"),
        (None, "tracks.json: cannot be read (No such file or directory)"),
    ],
)
def test_a_wrong_catalogue_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    message: str,
) -> None:
    words, path = _small(tmp_path), tmp_path / "data" / "tracks.json"
    if content is not None:
        path.write_bytes(content)
    assert message in _refused([*words, "--catalogue", str(path)], tmp_path, capsys)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--set", "sesions=3"],
            "sesions: unknown key; the nearest known key is sessions",
        ),
        (
            ["--set", "interests=0"],
            "interests: Input should be greater than or equal to 1",
        ),
        (
            ["--set", "consume_sharpness.low=0", "--set", "consume_sharpness.high=1"],
            "consume_sharpness.low: Input should be greater than 0",
        ),
        (["--export", "nowhere"], "nowhere: no factors.npz here, nor in current/"),
        (["--catalog", "x"], "No such option"),
    ],
)
def test_a_wrong_command_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert message in _refused([*_small(tmp_path), *more], tmp_path, capsys)


def test_a_missing_table_and_a_folder_of_something_else_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _small(tmp_path)
    assert "none.csv: cannot be read" in _refused(
        [words[0], "none.csv", *words[2:]], tmp_path, capsys
    )
    (tmp_path / "w").mkdir()
    assert main(words) == 2
    assert "exists; name a new folder" in capsys.readouterr().err
    assert list((tmp_path / "w").iterdir()) == []


def test_a_world_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise OSError("1000 requested and 0 written")

    words = _small(tmp_path)
    monkeypatch.setattr(np, "save", save)
    assert "cannot be written" in _refused(words, tmp_path, capsys)


def test_the_current_version_of_an_export_is_taken(tmp_path: Path) -> None:
    words = _small(tmp_path)
    (tmp_path / "export" / "current").mkdir(parents=True)
    shutil.move(tmp_path / "data" / "factors.npz", tmp_path / "export" / "current")
    assert main([*words, "--export", str(tmp_path / "export")]) == 0


def test_help_has_an_example_and_the_other_help_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["from-interactions", "--help"]) == 0
    assert (
        "python -m sim.world from-interactions plays.csv.gz --export out/run/export"
        in capsys.readouterr().out
    )
    assert main(["--help"]) == 0
    assert "python -m sim.world from-interactions --help" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.fixture(scope="module")
def of_log(data: Data) -> Path:
    folder = data.folder / "of-log"
    log = data.folder / "log"
    with redirect_stdout(io.StringIO()):
        assert main(data.words(folder, "--catalogue", data.catalogue, plays=log)) == 0
    return folder


def test_sessions_of_a_world_fitted_to_a_log_are_like_those_of_held_out_listeners(
    of_log: Path,
) -> None:
    found = orjson.loads((of_log / "fit.json").read_bytes())
    for figure in (
        "tracks",
        "time",
        "share 0",
        "share < 0.1",
        "share > 0.5",
        "share at 1",
        "share at 5",
        "length 95 %",
    ):
        pair = found["sessions"][figure]
        assert pair["simulated"] == pytest.approx(pair["data"], rel=0.1, abs=0.03), (
            figure
        )
    for figure in (
        "between listeners",
        "listener 10 %",
        "listener 90 %",
        "openings repeated",
    ):
        pair = found["sessions"][figure]
        assert pair["simulated"] == pytest.approx(pair["data"], rel=0.25), figure
    openings = found["reproduction"]
    assert openings["gini"] == pytest.approx(openings["data_gini"], abs=0.1)
    assert openings["popularity"] > 0.7
    # nine openings of a track say little of who shares them
    assert openings["co_listening"] > 10 * openings["chance"]


def test_a_world_fitted_to_a_log_wears_out_as_the_log_says(of_log: Path) -> None:
    world = load_world(of_log)
    assert world.gamma[0] == pytest.approx(0.8, abs=0.12)  # the truth
    assert world.response.tiredness < 0.01  # there is none
    assert set(world.session_budget.tolist()) <= {4, 5, 6}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"user":"u9","track":"x","time":1,"timestamp":1,"session":"s"}',
            "log.jsonl:1: user 'u9' is not in",
        ),
        (
            '{"user":"u1","track":"t","time":1,"timestamp":1,"session":"s"}',
            "log.jsonl:1: track 't' is not in",
        ),
        (
            '{"user":"u1","track":"x","time":2,"timestamp":1,"session":"s"}',
            "log.jsonl:1: time: Input should be less",
        ),
        (
            '{"user":"u1","track":"x","time":1,"timestamp":1}',
            "log.jsonl:1: session: Field required",
        ),
        (
            '{"user":"u1","track":"x","time":1,"timestamp":1,"session":"s"}',
            "no recommended track was heard",
        ),
        ("", "no events"),
    ],
)
def test_a_wrong_log_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    words = _small(tmp_path)
    (log := tmp_path / "data" / "log.jsonl").write_text(f"{line}\n" if line else "")
    assert message in _refused([words[0], str(log), *words[2:]], tmp_path, capsys)
    assert "tables are expected, or event logs" in _refused(
        [words[0], str(log), *words[1:]], tmp_path, capsys
    )
