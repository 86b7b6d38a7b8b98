"""Files that decay: a changed byte is noticed, and changes no result.

`DECAY_FLIPS` is how many bytes are changed in each of them.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from analysis.logs.files import LogFile
from analysis.offpolicy.recommendations import read_recommendations
from botify.event_log import SegmentWriter
from botify.model.factors import FACTORS
from botify.service import load_configured
from botify.settings import EventLogSettings
from listening_loop.command import main
from looplib.errors import UserError
from recsys.config import ExportConfig, Search, SearchConfig, ValidationConfig
from recsys.export.export import export_run
from recsys.report.page import write_report
from recsys.report.runs import read_folder
from recsys.search.folder import CONFIG, LEADERBOARD, REPORT, check_digest, read_winner
from recsys.workspace import open_workspace
from tests.botify.exports import make_settings, write_catalogue
from tests.recsys.in_process import without_processes
from tests.recsys.ledgers import ledger_rows, untimed
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of

FLIPS = int(os.environ.get("DECAY_FLIPS", "8"))
TRACKS = 60
Copy = Callable[[], "Loop"]


class Loop:
    """A store with a finished search and its export; `search` and `serve` return what follows from
    the files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.run, self.out = (
            folder / name for name in ("", "store", "run", "out")
        )

    def search(self) -> object:
        config = SearchConfig(
            store=str(self.store),
            run=str(self.run),
            models={"als": {"factors": (2, 4), "alpha": (1.0,)}},
            search=Search(iterations=2, score_every=1),
            validation=ValidationConfig(ks=(5, 30), resamples=100),
        )
        with without_processes():
            winner = search_of(config)
        rows = ledger_rows(self.run)
        latest = {(row["trial"], row["iteration"]): row for row in rows}
        scored = set(untimed(list(latest.values())))
        facts = (winner.iterations, winner.metrics, winner.dataset)
        return winner.trial.id, *facts, scored

    def export(self) -> None:
        with without_processes():
            export_run(self.run, self.out, ExportConfig(publish_anyway=True))

    def serve(self) -> object:
        catalogue = write_catalogue(self.folder / "tracks.json", range(TRACKS))
        settings = make_settings(self.out, catalogue, "fold_in")
        model = load_configured(settings)
        read = read_recommendations(str(settings.recommendations))
        factors = model.get(FACTORS)
        assert factors is not None
        served = (
            model.recommendations.tracks,
            factors.items,
            read.tracks,
        )
        return (
            model.version,
            dict(read.manifest),
            [array.tobytes() for array in served],
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    loop = Loop(tmp_path_factory.mktemp("whole"))
    sessions = random_sessions(5, listeners=40, tracks=TRACKS, sessions=300)
    make_store(loop.folder, sessions)
    loop.search()
    loop.export()
    return loop


@pytest.fixture
def copy(whole: Loop, tmp_path: Path) -> Copy:
    def make() -> Loop:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(whole.folder, tmp_path / "copy", symlinks=True)
        return Loop(tmp_path / "copy")

    return make


def flip(generator: np.random.Generator, folder: Path, pattern: str) -> Path:
    """Change a byte of a file, at random; larger files are chosen more often."""
    files = [
        file
        for file in sorted(folder.glob(pattern))
        if file.is_file() and file.name != ".lock"
    ]
    sizes = np.array([file.stat().st_size for file in files])
    file = files[generator.choice(len(files), p=sizes / sizes.sum())]
    content = bytearray(file.read_bytes())
    content[generator.integers(len(content))] ^= int(generator.integers(1, 256))
    file.write_bytes(content)
    return file


def outcome(step: Callable[[], object]) -> object:
    """What a step returns; None where it refuses the files."""
    with suppress(UserError):
        return step()
    return None


def test_a_changed_byte_of_the_store_is_refused_or_changes_nothing(
    whole: Loop, copy: Copy
) -> None:
    generator, expected, refused = np.random.default_rng(1), whole.search(), 0
    for _ in range(FLIPS):
        loop = copy()
        shutil.rmtree(loop.run)
        shutil.rmtree(loop.store / "cache")
        file = flip(generator, loop.store, "**/*")
        found = outcome(loop.search)
        assert found in (None, expected), file
        refused += found is None
    assert refused >= FLIPS / 2


@pytest.mark.parametrize(
    "pattern", ["store/cache/**/*", "run/ledger.jsonl", "run/listeners/**/*"]
)
def test_what_decays_in_cache_and_ledger_is_made_again(
    whole: Loop, copy: Copy, pattern: str
) -> None:
    generator, expected = np.random.default_rng(2), whole.search()
    for _ in range(FLIPS):
        loop = copy()
        file = flip(generator, loop.folder, pattern)
        assert loop.search() == expected, file


@pytest.mark.parametrize("name", [CONFIG, LEADERBOARD, REPORT])
def test_a_changed_byte_of_what_is_shown_of_a_run_is_refused(
    copy: Copy, name: str
) -> None:
    loop = copy()
    write_report(str(loop.run))
    run = open_workspace(loop.run)
    assert read_folder(run, "whole").winner
    flip(np.random.default_rng(5), loop.run, name)
    winner = read_winner(run)
    with pytest.raises(UserError, match=f"{name}: (damaged; search again|not YAML)"):
        check_digest(run, winner, REPORT) if name == REPORT else read_folder(run, "")


def test_a_changed_byte_of_an_export_is_refused_or_changes_nothing(
    whole: Loop, copy: Copy
) -> None:
    generator, expected = np.random.default_rng(3), whole.serve()
    for _ in range(FLIPS):
        loop = copy()
        file = flip(generator, loop.out, "versions/*/*")
        assert outcome(loop.serve) in (None, expected), file


def test_a_damaged_part_is_named_with_the_command_that_makes_it_anew(
    copy: Copy,
) -> None:
    loop = copy()
    shutil.rmtree(loop.store / "cache")
    part = flip(np.random.default_rng(4), loop.store, "**/*.parquet")
    with pytest.raises(UserError) as refusal:
        loop.search()
    assert part.name in str(refusal.value)
    assert "listening-loop ingest LOG… --store NEW" in str(refusal.value)


def test_a_damaged_line_costs_one_step_and_is_said(
    whole: Loop, copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = copy()
    ledger = loop.run / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(
        b"".join(
            [lines[0].replace(b'"iteration":1', b'"iteration":2'), *lines[1:]]
        ).replace(b'"iteration":0', b'"iteration":9', 1)
    )
    capsys.readouterr()
    assert loop.search() == whole.search()
    assert len(ledger.read_bytes().splitlines()) == len(lines)
    assert "its step is run again" in capsys.readouterr().err


def test_a_log_of_the_service_that_has_changed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = SegmentWriter(tmp_path, EventLogSettings(fsync="never"), "test")
    writer.append(b'{"message": "next"}\n')
    writer.append(b'{"message": "last"}\n')
    writer.close()
    (segment,) = tmp_path.iterdir()
    content, generator = segment.read_bytes(), np.random.default_rng(6)
    for _ in range(FLIPS):
        segment.write_bytes(content)
        flip(generator, tmp_path, segment.name)
        with pytest.raises(UserError, match="damaged"):
            LogFile(segment, segment.name).check()
    assert main(["ingest", str(tmp_path), "--store", str(tmp_path / "store")]) == 2
    assert f"{segment}: damaged" in capsys.readouterr().err
