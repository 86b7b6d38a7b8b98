"""Files that decay: a changed byte is noticed, and changes no result.

`DECAY_FLIPS` is how many bytes are changed in each kind of them.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from botify.model.factors import FACTORS
from botify.service import load_configured
from looplib.errors import UserError
from recsys.config import ExportConfig, SearchConfig
from recsys.report.page import write_report
from recsys.run import CONFIG, LEADERBOARD, check_digest, read_run
from recsys.storage import open_workspace
from tests.botify.exports import make_settings, write_catalogue
from tests.recsys.in_process import without_processes
from tests.recsys.ledgers import ledger_rows, untimed
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of
from tests.recsys.search.quick import publish_run

FLIPS = int(os.environ.get("DECAY_FLIPS", "4"))
TRACKS = 60
Copy = Callable[..., "Loop"]


@dataclass(frozen=True)
class Loop:
    """A folder with a store, its search and the export of it."""

    folder: Path

    def search(self) -> object:
        """Search again in the same run folder; return the winner and the scores."""
        run = self.folder / "run"
        config = SearchConfig(
            store=self.folder / "store",
            run=run,
            models={"als": {"factors": [2, 4], "alpha": 1.0}},
            search={"iterations": 2, "strategy": "halving"},
            validation={"ks": [5, 30]},
        )
        with without_processes():
            winner = search_of(config)
        latest = {(row["trial"], row["iteration"]): row for row in ledger_rows(run)}
        scored = set(untimed(list(latest.values())))
        facts = (winner.iterations, winner.metrics, winner.dataset)
        return winner.trial.id, *facts, scored

    def export(self) -> None:
        with without_processes():
            config = ExportConfig(publish_anyway=True)
            publish_run(self.folder / "run", self.folder / "out", config)

    def serve(self) -> object:
        """Read the export as the service does."""
        catalogue = write_catalogue(self.folder / "tracks.json", range(TRACKS))
        settings = make_settings(self.folder / "out", catalogue, "fold_in")
        model = load_configured(settings)
        factors = model.get(FACTORS)
        assert factors is not None
        arrays = (model.recommendations.tracks, factors.items)
        return model.version, [array.tobytes() for array in arrays]


@pytest.fixture(scope="module")
def whole(folder: Path) -> Loop:
    loop = Loop(folder)
    sessions = random_sessions(5, listeners=40, tracks=TRACKS, sessions=300)
    make_store(loop.folder, sessions)
    loop.search()
    loop.export()
    return loop


@pytest.fixture
def copy(whole: Loop, tmp_path: Path) -> Copy:
    """Copies all but some folders."""

    def make(*without: str) -> Loop:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(whole.folder, tmp_path / "copy", symlinks=True)
        for name in without:
            shutil.rmtree(tmp_path / "copy" / name)
        return Loop(tmp_path / "copy")

    return make


def flip(generator: np.random.Generator, folder: Path, pattern: str) -> Path:
    """Change a byte of a file, at random; larger files are chosen more often."""
    files = [file for file in sorted(folder.glob(pattern)) if file.is_file()]
    files = [file for file in files if file.name != ".lock"]
    sizes = np.array([file.stat().st_size for file in files])
    file = files[generator.choice(len(files), p=sizes / sizes.sum())]
    content = bytearray(file.read_bytes())
    content[generator.integers(len(content))] ^= int(generator.integers(1, 256))
    file.write_bytes(content)
    return file


def outcome(step: Callable[[], object]) -> object:
    """Return the value of a step, or None if it refuses the files."""
    with suppress(UserError):
        return step()
    return None


def test_a_changed_byte_of_the_store_is_refused_or_changes_nothing(
    whole: Loop, copy: Copy
) -> None:
    generator, expected, refused = np.random.default_rng(1), whole.search(), 0
    for _ in range(FLIPS):
        loop = copy("run", "store/cache")
        file = flip(generator, loop.folder, "store/**/*")
        result = outcome(loop.search)
        assert result in (None, expected), file
        refused += result is None
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


def test_a_changed_byte_of_an_export_is_refused_or_changes_nothing(
    whole: Loop, copy: Copy
) -> None:
    generator, expected = np.random.default_rng(3), whole.serve()
    for _ in range(FLIPS):
        loop = copy()
        file = flip(generator, loop.folder, "out/versions/*/*")
        assert outcome(loop.serve) in (None, expected), file


@pytest.mark.parametrize("name", [CONFIG, LEADERBOARD])
def test_a_changed_byte_of_what_is_shown_of_a_run_is_refused(
    copy: Copy, name: str
) -> None:
    run = copy().folder / "run"
    workspace = open_workspace(run)
    winner = read_run(workspace)[1]
    flip(np.random.default_rng(5), run, name)
    with pytest.raises(UserError, match=f"{name}: (damaged; search again|not YAML)"):
        check_digest(workspace, winner, name)
    assert outcome(lambda: write_report(str(run))) is None
