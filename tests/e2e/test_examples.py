"""The notebooks of examples/ hold their results, and run as they are, in Jupyter or not."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.programs import run_python

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
IN_JUPYTER = "cluster"  # its class is pickled for the workers
WITHOUT_JUPYTER = "off_policy"


def code_of(notebook: Path) -> list[dict[str, Any]]:
    return [
        cell
        for cell in json.loads(notebook.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_holds_the_results_of_one_run(notebook: Path) -> None:
    cells = code_of(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell["outputs"] for cell in cells)


def test_the_rehearsal_of_tox_runs_the_other_notebooks() -> None:
    names = re.findall(r"examples/(\w+)\.ipynb", (ROOT / "tox.ini").read_text())
    stems = {notebook.stem for notebook in NOTEBOOKS}
    assert {*names} == stems - {IN_JUPYTER, WITHOUT_JUPYTER}


@pytest.mark.slow
@pytest.mark.parametrize("name", [IN_JUPYTER, WITHOUT_JUPYTER])
def test_a_notebook_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    notebook = ROOT / "examples" / f"{name}.ipynb"
    if name == IN_JUPYTER:
        shutil.copy(notebook, tmp_path)
        argv = ["-c", "from nbclient.cli import main; main()", notebook.name]
    else:
        cells = ["".join(cell["source"]) for cell in code_of(notebook)]
        argv = ["-c", "\n".join(["print('from the top')", *cells])]
    done = run_python(*argv, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("from the top") == (name != IN_JUPYTER)
