"""The product speaks the words of its field, which docs/architecture.md lists."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("looplib", "analysis", "recsys", "botify", "sim", "listening_loop")
PAGES = ("configs", "docs", "README.md", "CONTRIBUTING.md")
SUFFIXES = {".py", ".sql", ".yaml", ".md", ".jinja"}
NAMES = {
    *("found", "known", "own", "given", "kept", "others", "chosen", "wanted"),
    *("one", "each"),
}
# A word, also as a part of a name, and what to write instead.
WORDS = {
    r"again(_ndcg|\.jsonl)": "repeat",
    r"broken off": "interrupted",
    r"buckets?": "partition",
    r"discover\.jsonl": "new",
    r"doubts?": "warnings",
    r"everybody|whoever|somebody": "listeners, users, the caller",
    r"foretold|foretells?": "predicted",
    r"judg(e|es|ed|ing)": "score, scorer",
    r"mend(s|ed|ing)?": "fix",
    r"no_column|_nobody|unknown_track": "looplib.arrays.NO_TRACK",
    r"remarks?": "warnings",
    r"settles?|settled|settling": "resolve",
    r"standings?": "ranking",
    r"sweeps?": "iteration",
    r"the course(?! service)": "the original course service",
    r"widen_trials|search\.widen": "expand",
}
# Where such a word is that of somebody else.
ALLOWED = {
    "s3://bucket": "Amazon calls it so",
    "_NO_BUCKET": "the same",
    "bucket does not exist": "the same",
    "buckets=": "an argument of prometheus_client",
}
_VAGUE = re.compile(r"(Return|Say|Yield)s? (what|how|whether|which|where|why|whose)\b")


def files_of(*places: str) -> list[Path]:
    """List the files of folders, relative to the project."""
    files = []
    for place in places:
        paths = [ROOT / place, *(ROOT / place).rglob("*")]
        files += [path.relative_to(ROOT) for path in paths if path.suffix in SUFFIXES]
    return sorted(files)


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of a module and of what it defines."""
    for node in ast.walk(tree):
        if isinstance(
            node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)
        ):
            yield ast.get_docstring(node) or ""


def _assigned(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the names of variables and arguments, and their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


@pytest.mark.parametrize("file", files_of(*PACKAGES, *PAGES), ids=str)
def test_a_file_has_no_word_that_the_field_does_not_use(file: Path) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for phrase in ALLOWED:
        text = text.replace(phrase, "")
    words = []
    for word, replacement in WORDS.items():
        pattern = rf"(?<![a-zA-Z])(?:{word})(?![a-z])"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            row = text.count("\n", 0, match.start()) + 1
            words.append(f"{file}:{row}: {match[0]}; write {replacement}")
    assert words == []


def python_of_packages() -> list[Path]:
    return [file for file in files_of(*PACKAGES) if file.suffix == ".py"]


@pytest.mark.parametrize("file", python_of_packages(), ids=str)
def test_variables_and_docstrings_name_their_thing(file: Path) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    vague = [
        f"{file}:{row}: {name}"
        for name, row in _assigned(tree)
        if name in NAMES or name.startswith("of_")
    ]
    firsts = [text.partition("\n")[0] for text in _docstrings(tree)]
    vague += [f"{file}: {first}" for first in firsts if _VAGUE.match(first)]
    assert vague == []


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for file in python_of_packages():
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
