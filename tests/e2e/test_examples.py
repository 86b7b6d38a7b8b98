"""The notebooks of examples/ run as they are, as scripts without a guard, and were executed before."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell["outputs"] for cell in cells)
    code = "print('from the top')\n" + "\n".join("".join(cell["source"]) for cell in cells)
    (tmp_path / "script.py").write_text(code)
    starts_a_client = "Client(" in code  # whose processes Dask starts, which import a script; ours do not
    argv = ["-c", code] if starts_a_client else ["script.py"]
    done = subprocess.run([sys.executable, *argv], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("from the top") == 1


@pytest.mark.slow
def test_a_notebook_runs_in_jupyter(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples/ab_test.ipynb", tmp_path)
    argv = [sys.executable, "-c", "from nbclient.cli import main; main()", "ab_test.ipynb"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
