"""Try the wheel as a stranger does: an empty environment, no clone.

    python tests/rehearsal.py PYTHON LOCK [NOTEBOOK …]

LOCK has the releases that may be installed. The script builds and checks the wheel, runs the Python
of the index page after the demo, takes a file from `init` to a replay, reports on an experiment,
uses the class for users of `implicit`, and runs notebooks. It prints the seconds of each command.
"""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PLAYS = """
import random
from pathlib import Path
draw = random.Random(1)
lines = ["who,song,artist,seconds,when"]
for second in range(0, 9000 * 600, 600):
    who = draw.randrange(300)
    song = who % 10 * 20 + draw.randrange(20) if draw.random() < 0.8 else draw.randrange(200)
    day = f"2026-{1 + second // 2592000:02}-{1 + second // 86400 % 28:02}"
    clock = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:00"
    seconds = draw.randrange(30, 240)
    lines.append(f"u{who},s{song},a{song // 5},{seconds},{day} {clock}")
Path("plays.csv").write_text("\\n".join(lines))
"""
BARE = """
import listening_loop as ll
try:
    raise SystemExit(f"{ll.AlternatingLeastSquares} without implicit")
except ll.Error as error:
    assert "pip install 'listening-loop[implicit]'" in str(error)
"""
ALS = """
import numpy as np
from scipy.sparse import random
from listening_loop import AlternatingLeastSquares
plays = random(300, 200, 0.05, "csr", np.float32, np.random.default_rng(1))
model = AlternatingLeastSquares(factors=16, iterations=3)
model.fit(plays, show_progress=False)
assert model.recommend(0, plays[0], N=5)[0].shape == (5,)
"""


def main() -> None:
    """Install the wheel and try it."""
    python, lock, *notebooks = sys.argv[1:]
    with TemporaryDirectory(prefix="rehearsal-") as name:
        folder = Path(name)
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        (script,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        scripts = {"readme": script, "bare": BARE, "als": ALS, "plays": PLAYS}
        for file, text in scripts.items():
            (folder / f"{file}.py").write_text(text)
        run(folder, f"uv build --quiet --out-dir dist {ROOT}")
        wheel, sdist = sorted((folder / "dist").glob("listening_loop-*"))
        run(folder, f"twine check --strict {sdist} {wheel}")
        install = (
            f"uv pip install --quiet --python venv --constraint {Path(lock).resolve()}"
        )
        run(folder, f"uv venv --quiet --python {python} venv")
        run(folder, f"{install} {wheel}")
        size = sum(
            f.stat().st_size for f in (folder / "venv").rglob("*") if f.is_file()
        )
        print(f"{'':4}the environment has {size / 2**20:.0f} MiB")
        for command in (
            "python bare.py",
            "listening-loop doctor",
            "listening-loop demo",
            "python readme.py",
            "python plays.py",
            "listening-loop init plays.csv",
        ):
            done = run(folder, f"venv/bin/{command}")
        # the commands that `init` prints lead to lists, a replay and a served track
        for command in re.findall(r"^ *(listening-loop .*)$", done, re.MULTILINE):
            if " serve " not in command:
                run(folder, f"venv/bin/{command}")
        log = "listening-loop ab out/first/days/1/log --set min_days=1 --out verdict"
        run(folder, f"venv/bin/{log}")
        run(folder, f"{install} {wheel}[implicit]")
        run(folder, "venv/bin/python als.py")
        for notebook in notebooks:
            document = json.loads(Path(notebook).read_text())
            cells = [c["source"] for c in document["cells"] if c["cell_type"] == "code"]
            file = f"{Path(notebook).stem}.py"
            (folder / file).write_text("\n".join("".join(cell) for cell in cells))
            # As in Jupyter, workers find no file of the program to import.
            run(folder, f"venv/bin/python -c 'exec(open(\"{file}\").read())'")


def run(folder: Path, command: str) -> str:
    """Run a command, and print its seconds; a failure ends the rehearsal."""
    began = time.monotonic()
    argv = shlex.split(command)
    argv[0] = str(folder / argv[0]) if argv[0].startswith("venv/") else argv[0]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    print(f"{time.monotonic() - began:4.0f} s  {command}", flush=True)
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


if __name__ == "__main__":
    main()
