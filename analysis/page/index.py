"""Maintain the page `index.html` of a workspace, which lists all of its reports.

Each report summarizes itself in `<meta>` elements: `kind`, `data`, `outcome` and `tone`.
"""

import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

from analysis.page.render import render
from looplib.errors import UserError
from looplib.files import atomic_write_text, exclusive
from looplib.progress import say
from looplib.untrusted import open_untrusted

_DEPTHS = range(5)  # folders between a workspace and a report: first/days/1/run is 4
_HEAD = 2**16  # bytes of a page that hold its summary


def renew_index(folder: Path) -> Path:
    """Rewrite the index of a folder's workspace, which lists all reports, newest first.

    The workspace is the first folder of a relative path, such as `out/`, or else the parent folder.
    An `index.html` of another program is not overwritten. If the workspace cannot be written, a
    warning is printed.

    Returns:
        The path of the index.
    """
    workspace = folder.parent if folder.is_absolute() else Path(*folder.parts[:1])
    index = workspace / "index.html"
    reports = []
    try:
        with exclusive(workspace):  # the last of several commands lists all reports
            if index.exists() and "kind" not in read_summary(index):
                raise OSError("there is a page of another program")
            for depth in _DEPTHS:
                for page in workspace.glob("*/" * depth + "report.html"):
                    written = datetime.fromtimestamp(page.lstat().st_mtime, UTC)
                    path = page.relative_to(workspace).as_posix()
                    place = {"path": path, "written": f"{written:%Y-%m-%d %H:%M:%S}"}
                    reports.append(read_summary(page) | place)
            listed = {"summary": {"kind": "index"}, "reports": reports}
            atomic_write_text(index, render([], "index.html.jinja", **listed))
    except (OSError, ValueError) as error:  # also a name that is not UTF-8
        say(f"warning: {index} does not list {folder}: {error}")
    return index


def read_summary(page: Path) -> dict[str, str]:
    """Read the `<meta>` summary of a report by name; empty for any other file."""
    try:
        with open_untrusted(page, within=page.parent) as file:
            head = file.read(_HEAD).decode(errors="replace")
    except UserError:
        return {}
    metas = re.findall(r'<meta name="(\w+)" content="([^"]*)">', head)
    return {name: unescape(text) for name, text in metas}
