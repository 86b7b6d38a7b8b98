"""Dependencies of an installation and of the images; sdist and wheel work outside the clone."""

import os
import re
import shutil
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.programs import run_python

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
DEPENDENCIES = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
SERVICE = PROJECT["dependency-groups"]["service"]
HEAVY = {"dask", "distributed", "duckdb", "pyarrow", "scipy"}


def would_install(extra: str) -> set[str]:
    """Return the distributions that `pip install .[extra]` brings, by what each requires."""
    names, left = set[str](), [Requirement(f"{PROJECT['project']['name']}[{extra}]")]
    while left:
        requirement = left.pop()
        for text in requires(requirement.name) or []:
            needed = Requirement(text)
            marks = [{"extra": name} for name in requirement.extras or [""]]
            if needed.marker is None or any(
                needed.marker.evaluate(mark) for mark in marks
            ):
                new = {
                    canonicalize_name(needed.name),
                    *(f"{needed.name}[{name}]" for name in needed.extras),
                } - names
                names |= new
                left += [needed] if new else []
    return names


def modules_of_tests() -> set[str]:
    """Return the modules that the extra `dev` brings, and `all` does not."""
    missing = would_install("dev") - would_install("all")
    return {
        module
        for module, names in packages_distributions().items()
        if missing.issuperset(map(canonicalize_name, names))
    }


@pytest.mark.parametrize(
    ("image", "needed"),
    [
        ("botify", SERVICE),
        ("deploy", [*DEPENDENCIES, *EXTRAS["implicit"], *EXTRAS["s3"]]),
    ],
)
def test_an_image_installs_pinned_releases_of_all_that_it_needs(
    image: str, needed: list[str]
) -> None:
    pins = (ROOT / image / "requirements.txt").read_text(encoding="utf-8").splitlines()
    releases = [line for line in pins if re.match(r"\w", line)]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+ \\", line) for line in releases)
    names = {line.partition("==")[0] for line in releases}
    assert {*SERVICE} <= {*DEPENDENCIES}
    assert {re.split(r"[>\[]", requirement)[0] for requirement in needed} <= names
    assert bool(names & HEAVY) == (image == "deploy"), "the service needs no training"
    dockerfile = (ROOT / image / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip\b.* install .*", dockerfile)
    assert len(installs) == 3
    assert all(re.search("--require-hashes|--no-index", line) for line in installs)
    (built,) = re.findall(r"pip wheel.*", dockerfile)
    assert "--no-build-isolation" in built, "what builds it has a digest too"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist."""
    dist, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source")
    build(ROOT, "sdist", dist)
    (sdist,) = dist.glob("*.tar.gz")
    shutil.unpack_archive(sdist, source, filter="data")
    (unpacked,) = source.iterdir()
    assert list((unpacked / "examples").glob("*.ipynb"))
    build(unpacked, "wheel", dist)
    (wheel,) = dist.glob("*.whl")
    return wheel


def build(folder: Path, target: str, out: Path) -> None:
    words = f"hatchling build --target {target} --directory"
    run_python("-m", *words.split(), str(out), cwd=folder).check_returncode()


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        names = set(files.namelist())
    ours = {
        file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file()
    }
    needed = {
        file.relative_to(ROOT).as_posix() for file in ours if file.suffix != ".pyc"
    }
    shipped = {
        f"listening_loop/{file.relative_to(ROOT)}"
        for file in (ROOT / "configs").rglob("*.yaml")
    }
    assert (needed | shipped) - names == set()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


@pytest.mark.slow
def test_what_is_installed_works_without_the_clone(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    shutil.unpack_archive(wheel, installed, "zip")
    elsewhere.mkdir()
    (elsewhere / "plays.csv").write_text(
        "user,song,seconds\n" + "".join(f"u{n % 9},s{n},{n}\n" for n in range(99))
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def command(*words: str) -> str:
        module = ("-m", "listening_loop.command")
        done = run_python(*module, *words, cwd=elsewhere, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert command("--version") == f"listening-loop {PROJECT['project']['version']}\n"
    shown = command("init", "plays.csv", "--out", "plays.yaml")
    assert "listening-loop ingest plays.sql" in shown
    command("ingest", "plays.sql", "--store", "store")
    assert (elsewhere / "store" / "manifest.json").exists()
