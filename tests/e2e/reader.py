"""A reader who types the commands of README and docs/, in a small world.

`smaller` and `REPLACED` make the world small; `bring` makes the files that a reader has. All pages
are read in one folder, so a command that stands on several runs once. A service runs until its
page ends, another one starts, or the text says to press Ctrl-C.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import yaml

from tests.botify.redis_server import RedisServer
from tests.commands import MODULES, run_module
from tests.contracts.test_packaging import modules_of_tests
from tests.e2e.pages import ROOT, Block, blocks_of
from tests.programs import free_port
from tests.waiting import wait_until

REPLACED = {
    ".venv/bin/python": sys.executable,
    ".venv/bin/listening-loop": f"{sys.executable} -m listening_loop.command",
    "factors=[64,128]": "factors=[4,8]",
    "factors: 64": "factors: 8",
    "--episodes 5000": "--episodes 1000",
}
FEW = "--set search.iterations=1 --set models.als.factors=4"
INSTALLS = re.compile(
    r"(python3 -m venv|(\.venv/bin/)?pip install|\.venv/bin/tox run(-parallel)?|bash \.ci/run)"
    r"( [^&;|]+)?"
)
# Modules of tests that `pip install '.[all]'`, the pages' command, does not bring are not found
WITH_ALL_ALONE = f"""
from importlib.machinery import PathFinder
missing, find = {modules_of_tests()}, PathFinder.find_spec
PathFinder.find_spec = lambda name, *how: None if name in missing else find(name, *how)
"""
RUN_BY_ANOTHER_TEST = {
    "demo": "test_demo.py",
    "bench": "tests/listening_loop/bench",
    "README.md": "test_demo.py",
    "clusters.md": "test_clusters.py; of what needs more machines, test_names_in_docs.py",
}


def smaller(scheduler: str, port: int) -> dict[str, dict[str, Any]]:
    """List the changes of each configuration.

    All searches share one cluster, which takes longer to start than they run.
    """
    search = {
        "models": {"als": {"factors": 4, "regularization": 0.1, "alpha": 10.0}},
        "search": {"iterations": 2},
        "cluster": {"scheduler": scheduler},
        # so little data need not beat the popular tracks
        "export": {"publish_anyway": True},
    }
    return {
        "world/demo.yaml": {
            "tracks": 500,
            "artists": 100,
            "genres": 20,
            "listeners": 200,
        },
        "collect/demo.yaml": {"episodes": 4000},
        "demo.yaml": search,
        "botify.yaml": {"port": port},
    }


class Reader:
    """A reader who types the commands of the pages, each command once."""

    def __init__(self, folder: Path, redis: RedisServer, scheduler: str) -> None:
        self.folder = folder
        self.port = free_port()
        shrink(folder / "configs", smaller(scheduler, self.port))
        self._replaced = {
            **REPLACED,
            "tcp://HOST:8786": scheduler,
            "iterations=3": "iterations=1",
            "--config plays.yaml": f"--config plays.yaml --scheduler {scheduler}",
            "--config pair.yaml": f"--config pair.yaml --scheduler {scheduler} {FEW}",
            "localhost:5001": f"localhost:{self.port}",
            "localhost:6379": f"localhost:{redis.port}",
        }
        # a status of 400 fails the command
        (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        self._environment = {
            **os.environ,
            "CURL_HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }
        self._done: set[str] = set()
        # the command of the service that is to run, and its block
        self._wanted: tuple[str, Block] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def read(self, page: Path) -> None:
        if script := "\n".join(
            self._meant(block.text)
            for block in blocks_of(page)
            if block.language == "python"
        ):
            if page.name != "for-implicit-users.md":  # the page needs another extra
                script = f"{WITH_ALL_ALONE}\n{script}"
            (self.folder / "page.py").write_text(script)  # has no guard
            done = self._run_to_its_end(f"{sys.executable} page.py")
            assert done.returncode == 0, (
                f"{page}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )
        try:
            for block in blocks_of(page):
                if "Ctrl-C" in block.before:
                    self.press_ctrl_c()
                if block.language == "bash":
                    for command in block.commands:
                        self._run(command, block)
        finally:
            self.press_ctrl_c()

    def _run(self, command: str, block: Block) -> None:
        if all(INSTALLS.fullmatch(part.strip()) for part in command.split("&&")):
            return  # CI begins with these
        if command.startswith(("export ", "docker compose ")):
            return  # `tests/botify/test_image.py` has the file that these are of
        found = re.search(r"listening-loop ([a-z]+)", command)
        name = found[1] if found else ""
        if name in RUN_BY_ANOTHER_TEST or "--url http://localhost:8080" in command:
            return  # the latter by `tests/listening_loop/replay/test_url.py`
        if name == "serve":
            self.press_ctrl_c()
            self._wanted = (self._meant(command), block)
        if command in self._done:
            return
        if self._wanted and not self._server:
            self._serve(*self._wanted)
        if name != "serve":
            done = self._run_to_its_end(self._meant(command))
            assert done.returncode == 0, (
                f"{block.position}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )
            assert done.stdout.strip(), f"{block.position}: {command}: prints nothing"
        self._done.add(command)

    def _meant(self, command: str) -> str:
        for written, meant in self._replaced.items():
            command = command.replace(written, meant)
        return command

    def _run_to_its_end(self, command: str) -> "subprocess.CompletedProcess[str]":
        words = shlex.split(command)
        if words[:2] == [sys.executable, "-m"] and words[2] in MODULES:
            return run_module(words[2], words[3:], self._environment, self.folder)
        argv = ["bash", "-c", command]
        return subprocess.run(
            argv,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def _serve(self, text: str, block: Block) -> None:
        log = self.folder / "serve.stderr"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {text}"],
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._server = process
        address = f"http://localhost:{self.port}/health/live"

        def answers() -> bool:
            assert process.poll() is None, f"{block.position}: {log.read_text()}"
            try:
                with urlopen(address, timeout=60) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(answers, f"{block.position}: the service to answer")

    def press_ctrl_c(self) -> None:
        process, self._wanted, self._server = self._server, None, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def shrink(configs: Path, smaller: dict[str, dict[str, Any]]) -> None:
    """Copy the project's configurations, made small."""
    shutil.copytree(ROOT / "configs", configs)
    for name, changes in smaller.items():
        document = yaml.safe_load((configs / name).read_text())
        for key, value in changes.items():
            section = document.get(key)
            document[key] = {**section, **value} if isinstance(section, dict) else value
        (configs / name).write_text(yaml.safe_dump(document))


def bring(folder: Path) -> None:
    """Make the files that the pages expect of a reader.

    Logs, interactions, and the folders of the loop.
    """
    shutil.copytree(folder / "out/demo/log", folder / "LOGS")
    of_the_loop = {"log": "log", "world": "world", "service/log": "days/1/log"}
    for left, kept in of_the_loop.items():
        shutil.copytree(folder / "out/demo" / left, folder / "out/first" / kept)
    log = next((folder / "LOGS").glob("*.jsonl")).read_bytes()
    events = [
        event for line in log.splitlines() if (event := orjson.loads(line))["time"]
    ]
    rows = [
        f"u{e['user']},t{e['track']},{200 * e['time']:.0f},{e['timestamp'] // 1000}"
        for e in events
    ]
    heard = [
        f"u{e['user']},t{e['track']},{e['time']},{e['timestamp']},No. {e['track']},by"
        for e in events
    ]
    catalogue = [
        orjson.dumps({"track": f"t{track}", "artist": "by", "title": f"No. {track}"})
        for track in sorted({e["track"] for e in events})
    ]
    # listeners have ten tastes
    items = [
        [user % 10 * 8 + (user // 10 + number) % 8 for number in range(8)]
        for user in range(300)
    ]
    blocks = blocks_of(ROOT / "docs" / "warehouse.md")
    experiment = next(block.text for block in blocks if block.language == "yaml")
    tables = {
        "experiment.yaml": experiment.splitlines(),
        "plays.csv": ["uid,song,seconds,ts", *rows],
        "heard.csv": ["uid,song,heard,ts,name,by", *heard],
        "listeners.csv": ["listener,country", *(f"{n},{n % 2}" for n in range(200))],
        "train.txt": [" ".join(map(str, [n, *own[:6]])) for n, own in enumerate(items)],
        "test.txt": [" ".join(map(str, [n, *own[6:]])) for n, own in enumerate(items)],
        "tracks.json": [line.decode() for line in catalogue],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")
