"""Tables for the terminal, as wide as it is."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 150  # columns of tables in a pipe, a CI log or a file
_GAP = 2


def output() -> Console:
    """Make a console for tables on stdout, wide if it is no terminal."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDTH)


def table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    needed: int,
    numbers_from: int,
    caption: str = "",
) -> Table:
    """Lay out texts in columns.

    Args:
        names: Names of the columns.
        rows: Texts of the cells.
        needed: Number of columns that are always shown; the others if there is room.
        numbers_from: Columns from this position on are aligned to the right and never broken;
            earlier columns are folded if the terminal is narrow.
        caption: A line below the table.
    """
    columns = zip(names, *rows, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    shown = len(names)
    room = output().width
    while shown > needed and sum(widths[:shown]) + _GAP * shown > room:
        shown -= 1
    layout = Table(box=None, pad_edge=False, caption=caption or None)
    layout.caption_justify = "left"
    for position, name in enumerate(names[:shown]):
        if position >= numbers_from:
            layout.add_column(name, justify="right", no_wrap=True)
        else:
            layout.add_column(name, overflow="fold")
    for cells in rows:
        layout.add_row(*map(Text, cells[:shown]))
    return layout
