"""Everything that README and docs/ name exists.

Links, files, commands and options, settings, metrics, recommenders.
"""

import importlib
import re
import runpy
from functools import cache
from pathlib import Path

import pytest
import rich.style  # noqa: F401  draws a number as it is imported
import typer

from analysis import validation
from analysis.ab import metrics
from botify.recommenders.registry import RECOMMENDERS
from listening_loop.command import STEPS
from recsys.config import SearchConfig
from sim.config import SimulateConfig
from tests.e2e.pages import PAGES, ROOT, blocks_of, inline_code, prose_of

FOLDERS = "listening_loop|recsys|analysis|botify|sim|looplib|configs|deploy|tests|benchmarks|docs"
PARTS = ("recsys", "analysis", "botify", "sim", "looplib", "listening_loop")
A_FILE = re.compile(rf"(?:{FOLDERS})/[\w./*-]*")
A_SETTING = re.compile(
    rf"(?!run\.)({'|'.join(SearchConfig.model_fields)})\.(?!npz|py)[a-z_.]+"
)
EVERYWHERE = {"--help", "--version"}
every_page = pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name
)


@pytest.fixture(scope="module")
def settings() -> dict[str, list[str]]:
    """The keys of each part on the page of settings."""
    made = runpy.run_path(str(ROOT / "docs/settings.py"))
    pages = {part: made["render"](part) for part in made["PARTS"]}
    keys = {
        name: re.findall(r"(?m)^\| `([^`]+)` \|", text) for name, text in pages.items()
    }
    for name, (model, *_) in made["PARTS"].items():
        assert {*model.model_fields} <= {
            re.split(r"[.[]", key)[0] for key in keys[name]
        }
    return keys


def test_the_page_of_settings_has_every_part(settings: dict[str, list[str]]) -> None:
    assert sorted(_generated("settings.md", "settings")) == sorted(settings)


def test_the_page_of_commands_has_every_command() -> None:
    assert sorted(_generated("commands.md", "command")) == sorted(STEPS)


def _generated(page: str, directive: str) -> list[str]:
    """Return the arguments of the blocks that the site generates on a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{{{directive}}} (.+)$", text, re.MULTILINE)


@every_page
def test_links_have_targets(page: Path) -> None:
    targets = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", prose_of(page))
    lost = [
        target
        for target in targets
        if not target.startswith("https://") and not _is_there(page, target)
    ]
    assert lost == []


def _is_there(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(file: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@every_page
def test_named_files_exist(page: Path) -> None:
    named = [code for code in inline_code(page) if A_FILE.fullmatch(code)]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@pytest.mark.dask
@every_page
def test_commands_have_the_options_that_are_shown(page: Path) -> None:
    commands = [
        command
        for block in blocks_of(page)
        if block.language in ("bash", "sh")
        for command in block.commands
    ]
    for written in (*commands, *inline_code(page)):
        assert not re.search(
            r"python -m (recsys(?!\.search)|analysis|botify|sim)\b", written
        )
        if match := re.search(r"listening-loop ([a-z]+)(.*)", written):
            name, rest = match.groups()
            assert name in STEPS, f"{written}: no such command"
            shown = {
                word.split("=")[0] for word in re.findall(r"(?<=\s)--[\w-]+", rest)
            }
            assert shown <= _options(name), f"{written}: no such option"
        elif written.startswith("--"):
            shown = {written.split()[0].split("=")[0]}
            assert shown <= EVERYWHERE.union(*map(_options, STEPS)), written


@cache
def _options(name: str) -> set[str]:
    """Return the options of a command."""
    found = importlib.import_module(STEPS[name][0])
    parameters = typer.main.get_command(found.app).params
    settings = SimulateConfig.model_fields if name == "simulate" else ()
    return {f"--{key}" for key in settings} | {
        option
        for parameter in parameters
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


@every_page
def test_named_settings_exist(page: Path, settings: dict[str, list[str]]) -> None:
    there = [f"{key}." for key in settings["Search"]]
    for code in inline_code(page):
        if match := A_SETTING.match(code):
            section = match[0].rstrip(".") + "."
            assert any(key.startswith(section) for key in there), code


@every_page
def test_dask_listens_where_it_is_told_to(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("listening-loop worker", "")
    started = re.findall(r"dask (?:scheduler|worker) [^`\n]*", text)
    assert [command for command in started if not re.search("--host |…", command)] == []


def test_the_page_of_metrics_has_every_metric() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = [*validation.METRICS, *metrics.METRICS]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_explained_messages_are_in_the_code() -> None:
    source = "".join(
        file.read_text(encoding="utf-8")
        for folder in PARTS
        for file in (ROOT / folder).rglob("*.py")
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # texts over several lines
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for message in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE):
        words = [part.strip() for part in re.split(r"[….:()]|\d+", message)]
        assert [part for part in words if part not in source] == [], message


def test_the_page_of_the_service_names_every_recommender() -> None:
    text = (ROOT / "docs/service.md").read_text(encoding="utf-8")
    section = text.split("## Choose a recommender for each arm\n")[1].split("\n## ")[0]
    assert [name for name in RECOMMENDERS if f"`{name}`" not in section] == []
