"""Docstrings, comments and pages put the subject first, as writers of the field do."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_vocabulary import ROOT, files_of, python_of_packages

# A turn of syntax, its limit in 1,000 words of code or docs, and the remedy.
TURNS = {
    r"\bwhat\b": (1.0, "repeat the noun"),
    r"\bones?\b": (2.5, "repeat the noun"),
    r"(?:^|[.;:] |\n\s*)of (?:the|an?|all|each|what|it|its|\w+s)\b": (
        0.5,
        "subject first",
    ),
    r"\bthose\b|\bthat of\b": (1.0, "repeat the noun"),
    r"\bwhere (?:there|it|that|they|none|known|nothing|all)\b": (0.3, "if, when"),
}
ALLOWANCE = 4  # hits of a short file
FRAGMENT = re.compile(r"#\s*(?:of|in|with|for|by|as|to|from|at|on|that|which|whose)\b")
FRAGMENTS = 0.05  # largest share of the comments


def texts_of(file: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a module, or the paragraphs of a page."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.suffix == ".md":
        text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.DOTALL)
        yield from (line for line in text.splitlines() if not line.startswith("|"))
        return
    yield from comments_of(file)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            lines = (ast.get_docstring(node) or "").splitlines()
            yield "\n".join(
                line for line in lines if not line.lstrip().startswith(">>>")
            )


def comments_of(file: Path) -> Iterator[str]:
    """Yield the comments of a module that are not for tools."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.match(
            "# (noqa|type:)", token.string
        ):
            yield token.string


@pytest.mark.parametrize(
    "files",
    [
        python_of_packages(),
        [f for f in files_of("docs", "README.md") if f.suffix == ".md"],
    ],
    ids=["code", "docs"],
)
def test_sentences_begin_with_their_subjects(files: list[Path]) -> None:
    texts = {file: [*texts_of(file)] for file in files}
    words = {file: sum(len(text.split()) for text in texts[file]) for file in files}
    for turn, (limit, remedy) in TURNS.items():
        pattern = re.compile(turn, re.IGNORECASE)
        hits = {
            file: [text for text in texts[file] for _ in pattern.findall(text)]
            for file in files
        }
        total = 1000 * sum(map(len, hits.values())) / sum(words.values())
        assert total <= limit, f"{turn}: {total:.2f} in 1,000 words; {remedy}"
        for file in files:
            most = ALLOWANCE + limit * words[file] / 1000
            shown = "\n".join(hits[file])
            assert len(hits[file]) <= most, f"{file}: {turn}: {remedy}\n{shown}"


def test_comments_begin_with_a_noun_or_a_sentence() -> None:
    comments = [text for file in python_of_packages() for text in comments_of(file)]
    fragments = [text for text in comments if FRAGMENT.match(text)]
    assert len(fragments) <= FRAGMENTS * len(comments), "\n".join(fragments)
