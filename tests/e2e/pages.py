"""Read README and docs/: their blocks of code, and the commands in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(
    r"^```([\w{}-]*)[^`\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page's name.
        line: The line that it begins on.
        language: As marked on the page.
        text: Its content.
        before: The text between the block before and this one.
    """

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def position(self) -> str:
        """Its page and line, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its commands, one a line: continued lines are joined, comments are left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [
            command
            for line in lines
            if (command := re.sub(r"(^|\s)#.*", "", line).strip())
        ]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found, end = [], 0
    for match in _FENCE.finditer(text):
        language, content = match.groups()
        line = text[: match.start()].count("\n") + 1
        found.append(
            Block(
                page.name,
                line,
                language,
                content,
                text[end : match.start()],
            )
        )
        end = match.end()
    return found


def prose_of(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> Iterator[str]:
    """Yield the texts between single backticks, on one line or over its end."""
    for match in re.finditer(r"`([^`]+)`", prose_of(page)):
        yield " ".join(match[1].split())
