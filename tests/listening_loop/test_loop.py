"""The loop: what it may continue with."""

from pathlib import Path

from looplib.config import dump_config
from tests.conftest import Run
from tests.faults.test_loop_steps import make_config


def test_a_folder_goes_on_as_the_loop_that_it_began_as(
    tmp_path: Path, refusal: Run
) -> None:
    began = make_config(tmp_path)
    began.folder.mkdir()
    (began.folder / "loop.yaml").write_text(dump_config(began))
    other = make_config(tmp_path, episodes=7)
    (tmp_path / "other.yaml").write_text(dump_config(other))
    line = refusal("demo", "--config", tmp_path / "other.yaml")
    assert "this loop began with another episodes; name another folder" in line
