"""The notebooks of examples/ hold their results, and run as they are, in Jupyter or not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.programs import run_python

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
IN_JUPYTER = "ab_test"
each_notebook = pytest.mark.parametrize(
    "notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem
)


def code_of(notebook: Path) -> list[dict[str, Any]]:
    return [
        cell
        for cell in json.loads(notebook.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]


@each_notebook
def test_a_notebook_holds_the_results_of_one_run(notebook: Path) -> None:
    cells = code_of(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell["outputs"] for cell in cells)


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    if notebook.stem == IN_JUPYTER:
        shutil.copy(notebook, tmp_path)
        argv = ["-c", "from nbclient.cli import main; main()", notebook.name]
    else:
        cells = ["".join(cell["source"]) for cell in code_of(notebook)]
        argv = ["-c", "\n".join(["print('from the top')", *cells])]
    done = run_python(*argv, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("from the top") == (notebook.stem != IN_JUPYTER)
