"""Run every command of README and docs/ as a reader would, in a small world: the quick start, then each page.

`SMALLER` and `REPLACED` make the world small; `bring` makes the files that a reader has. A server runs until its page
ends, another one of its kind starts, or the text says to press Ctrl-C.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from analysis.logs.lines import parse_line
from tests.botify.redis_server import RedisServer
from tests.e2e.pages import PAGES, ROOT, Block, blocks_of
from tests.faults.served import wait_until
from tests.programs import find, free_port, need

SMALL_SEARCH = {
    "search": {
        "space": {"factors": [4, 8], "regularization": [0.1], "alpha": [10.0]},
        "sweeps": 3,
        "score_every": 3,
    },
    "validation": {"resamples": 100},
    "cluster": {"workers": 1},
    "context": {"factors": 8, "sweeps": 1, "rough_sweeps": 1, "coarse_factors": 4, "coarse_sweeps": 1},
}
SMALLER: dict[str, dict[str, Any]] = {
    "world/demo.yaml": {
        "catalogue": {"tracks": 500, "artists": 100, "genres": 20},
        "listeners": {"listeners": 200},
        "calibration": {"sessions": 1000},
    },
    "collect/demo.yaml": {"episodes": 8000},
    "demo.yaml": SMALL_SEARCH,
    "seed.yaml": {**SMALL_SEARCH, "store": "out/demo/store", "catalogue": None, "context": None},
}
REPLACED = {
    ".venv/bin/python": sys.executable,
    "factors=[64,128]": "factors=[4,8]",
    "--episodes 5000": "--episodes 1000",
    "--runs 200": "--runs 20",
}
SERVERS = {"botify": "/health/live", "recsys.lab": "/"}
INSTALLS = re.compile(r"(python3 -m venv|(\.venv/bin/)?pip install|\.venv/bin/tox run)( [^&;|]+)?")
RUN_BY_ANOTHER_TEST = {
    "recsys.loop": "test_demo.py",
    "clusters.md": "test_clusters.py; test_names_in_docs.py checks the names in what needs more machines",
}
# Measurements at full size, made by hand like every benchmark.
MEASURED = {"predictions.md", "results.md"}
PAGES_TO_RUN = [
    page
    for page in PAGES
    if page.name not in {"quickstart.md", *MEASURED, *RUN_BY_ANOTHER_TEST}
    and any(b.language == "bash" for b in blocks_of(page))
]
AT_ONCE = 2


class Reader:
    """A reader who types what the pages say."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.folder = folder
        self.port, self.lab = free_port(), free_port()
        shrink(folder / "configs", self.port)
        self._replaced = {
            **REPLACED,
            "localhost:5001": f"localhost:{self.port}",
            "localhost:6379": f"localhost:{redis.port}",
            "--recommender remote": f"--recommender remote --url http://localhost:{self.port}",
            "-m recsys.lab": f"-m recsys.lab --port {self.lab} --service http://localhost:{self.port}",
        }
        (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")  # a status of 400 fails the command
        self._environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def read(self, page: Path) -> None:
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
        if command.startswith("docker compose "):
            check_compose(command)
            return
        module = re.search(r" -m ([\w.]+)", command)
        if module and module[1] in RUN_BY_ANOTHER_TEST:
            return
        text = command
        for written, meant in self._replaced.items():
            text = text.replace(written, meant)
        if module and module[1] in SERVERS:
            self._serve(module[1], text, block)
            return
        done = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{block.position}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.stdout.strip(), f"{block.position}: {command}: prints nothing"

    def _serve(self, module: str, text: str, block: Block) -> None:
        self._stop(module)
        log = self.folder / f"{module}.stderr"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                # A test run in the background ignores Ctrl-C, and so would all that it starts.
                ["bash", "-c", f"exec env --default-signal=INT {text}"],
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._servers[module] = process
        address = f"http://localhost:{self.port if module == 'botify' else self.lab}{SERVERS[module]}"

        def answers() -> bool:
            assert process.poll() is None, f"{block.position}: {log.read_text()}"
            return subprocess.run(["curl", "-sf", "-o", "/dev/null", address], check=False).returncode == 0

        wait_until(answers, f"{block.position}: {module} to answer", 120)

    def press_ctrl_c(self) -> None:
        for module in list(self._servers):
            self._stop(module)

    def _stop(self, module: str) -> None:
        process = self._servers.pop(module, None)
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def check_compose(command: str) -> None:
    """Check that the services that `docker compose … up` would start exist, and that compose accepts the file."""
    words = shlex.split(command)
    file = ROOT / words[words.index("-f") + 1]
    services = yaml.safe_load(file.read_text())["services"]
    assert all(word.split("=")[0] in services for word in words if "=" in word), command
    if program := find("docker-compose"):
        argv = [program, "-f", str(file), "config", "--quiet"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def shrink(configs: Path, port: int) -> None:
    """Copy the project's configurations, made small."""
    shutil.copytree(ROOT / "configs", configs, dirs_exist_ok=True)
    for name, changes in {**SMALLER, "botify.yaml": {"port": port}}.items():
        document = yaml.safe_load((configs / name).read_text())
        (configs / name).write_text(yaml.safe_dump(merged(document, changes)))


def merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = {key: (document[key], value) for key, value in changes.items() if key in document}
    inner = {key: merged(old, new) for key, (old, new) in both.items() if isinstance(new, dict)}
    return {**document, **changes, **inner}


def bring(folder: Path) -> None:
    """Make the files that the pages expect of a reader: logs, interactions, and what the loop leaves."""
    shutil.copytree(folder / "out/demo/log", folder / "LOGS")
    shutil.copytree(folder / "out/demo/run", folder / "out/demo/days/1/run")
    log = next((folder / "LOGS").glob("*.jsonl")).read_bytes()
    events = [event for line in log.splitlines() if (event := orjson.loads(line))["time"]]
    rows = [f"u{e['user']},t{e['track']},{200 * e['time']:.0f},{e['timestamp'] // 1000}" for e in events]
    head = "uid,song,seconds,ts"
    tables = {
        "plays.csv": [head, *rows],
        "train.csv": [head, *rows[::2]],
        "test.csv": [head, *rows[1::2]],
        "listened.csv": ["user,track,weight,ts", *rows],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Path:
    """The folder that the quick start leaves; the other pages begin with it."""
    need("curl")
    folder = tmp_path_factory.mktemp("quickstart")
    Reader(folder, redis).read(ROOT / "docs" / "quickstart.md")
    bring(folder)
    return folder


@pytest.fixture(scope="module")
def read(
    tmp_path_factory: pytest.TempPathFactory, begun: Path, redis: RedisServer
) -> Iterator[dict[str, Future[None]]]:
    """The pages, each read in a folder of its own, some at a time."""
    folders = {page: tmp_path_factory.mktemp(page.stem) for page in PAGES_TO_RUN}
    readers = {}
    for page, folder in folders.items():
        shutil.copytree(begun, folder, symlinks=True, dirs_exist_ok=True)
        readers[page] = Reader(folder, redis)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {page.name: pool.submit(reader.read, page) for page, reader in readers.items()}


@pytest.mark.slow
def test_the_quick_start_leads_to_a_report(begun: Path) -> None:
    report = orjson.loads((begun / "out/demo/ab/report.json").read_bytes())
    assert report["lines"]["good"] > 1000
    assert report["verdict"]["decision"] in {"ship", "do not ship", "wait"}
    assert (begun / "out/demo/run/report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, read: dict[str, Future[None]]) -> None:
    read[page.name].result()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_checked_kind(page: Path) -> None:
    for block in blocks_of(page):
        match block.language:
            case "bash":
                assert block.commands, block.position
            case "json":
                for line in block.text.splitlines():
                    parse_line(line.encode())
            case "text":
                assert "──▶" in block.text or block.before.rstrip().endswith(":"), f"{block.position}: what is this?"
            case language:
                pytest.fail(f"{block.position}: nothing checks {language}")
