"""README and docs/ taken apart: blocks of code with the text before them, and the commands in these."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_PROGRAMS = ("python", "python3", ".venv/bin/python", "curl", "docker", "dask", "export", "sbatch", "pip", "tox")
_ASSIGNMENT = re.compile(r"\w+=\S*\s+")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page's name.
        line: Where it begins.
        language: As it is marked; of an unmarked one as it looks.
        text: What is in it.
        before: The text between it and the block before.
    """

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """A line each, continued ones joined; comments are left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line for each in lines if (line := re.sub(r"(^|\s)#.*", "", each).strip())]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found, end = [], 0
    for match in _FENCE.finditer(text):
        marked, content = match.groups()
        line = text[: match.start()].count("\n") + 1
        found.append(Block(page.name, line, marked or _looks_like(content), content, text[end : match.start()]))
        end = match.end()
    return found


def _looks_like(content: str) -> str:
    if content.startswith("{"):
        return "json"
    return "bash" if _ASSIGNMENT.sub("", content).split(maxsplit=1)[0] in _PROGRAMS else "text"


def prose_of(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> Iterator[str]:
    """What stands between single backticks, on one line or over its end."""
    for match in re.finditer(r"`([^`]+)`", prose_of(page)):
        yield " ".join(match[1].split())
