"""A small store, and quick searches of it whose calls run in the test's process."""

from collections.abc import Sequence
from pathlib import Path

from listening_loop.command import main
from recsys.config import ExportConfig
from recsys.export.export import export_run
from recsys.run import Winner, read_run
from recsys.storage import open_workspace
from tests.recsys.in_process import without_processes

SIZES = {"listeners": 60, "tracks": 90, "sessions": 1500}
QUICK = [
    "models.als.factors=[4, 8]",
    "models.als.regularization=[1.0]",
    "models.als.alpha=[1.0, 10.0]",
    "search.iterations=4",
    "validation.ks=[5, 30]",
    "validation.test_share=0.3",
    "export.publish_anyway=true",
]


def search_argv(
    store: Path,
    run_folder: Path,
    *settings: str,
    base: Sequence[str] = QUICK,
    export: bool = False,
) -> list[str]:
    """Write an empty configuration beside a run folder; return the words of its search."""
    config = run_folder.parent / "search.yaml"
    config.write_text("store: nowhere\nrun: nowhere\n")
    words = [f"--config={config}", f"--store={store}", f"--run={run_folder}"]
    words += [f"--set={setting}" for setting in (*base, *settings)]
    return ["search", *words, "--export" if export else "--no-export"]


def search_ok(
    store: Path, run_folder: Path, *settings: str, export: bool = False
) -> None:
    """Search, and export if asked to."""
    with without_processes():
        assert main(search_argv(store, run_folder, *settings, export=export)) == 0


def winner_of(run_folder: Path) -> Winner:
    """Read the winner of a finished search."""
    return read_run(open_workspace(run_folder))[1]


def publish_run(run_folder: Path, out: Path, options: ExportConfig) -> Path:
    """Publish a finished search; returns the folder of the version."""
    run = open_workspace(run_folder)
    config, winner = read_run(run)
    config = config.model_copy(update={"export": options})
    return Path(export_run(run, config, winner, out))
