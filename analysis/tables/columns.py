"""Describe the columns of a table of plays or interactions, and the reading of its files."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

from analysis.errors import AnalysisError

Decimal = Literal["point", "comma"]


@dataclass(frozen=True)
class Columns:
    """The columns of a file by what they hold; of a file without header their positions, from "1".

    An id may be made of several: "artist+track" is such as "Nina - A song". "@file" and "@folder"
    stand for the name of the file, without its suffix, and of its folder.

    With a share and a timestamp or a session, the rows are plays, which become events; else they
    are interactions.

    Raises:
        AnalysisError: They do not go together.
    """

    user: str
    item: str
    weight: str | None = None
    timestamp: str | None = None
    session: str | None = None
    share: str | None = None  # of the track that was heard
    played: str | None = None  # time that was heard; the share is played / duration
    duration: str | None = None  # of the track, in the same unit
    # orders plays of a session with the same timestamp, or interactions without timestamps
    position: str | None = None
    organic: str | None = None  # the listener chose the track, which opens a session
    propensity: str | None = None  # probability with which the track was recommended
    title: str | None = None
    artist: str | None = None

    def __post_init__(self) -> None:
        """Refuse columns that do not go together."""
        faults = {
            f"user and item are the same column, {self.user}": self.user == self.item,
            "played and duration go together": (self.played is None)
            != (self.duration is None),
            "share and played both say how much was heard; name one": self.share
            and self.played,
            "weight and share both say how much was heard; name one": self.weight
            and self.has_share,
            "timestamp and position both order interactions; name one": self.position
            and self.timestamp
            and not self.has_share,
            "organic and propensity belong to plays, which need share=, or played= and "
            "duration=": (self.organic or self.propensity) and not self.has_share,
            "plays need timestamp= or session=; "
            "for interactions name the share weight=": self.has_share
            and not (self.timestamp or self.session),
        }
        if fault := next((text for text, is_one in faults.items() if is_one), None):
            raise AnalysisError(f"--columns: {fault}")

    @property
    def known(self) -> tuple[str, ...]:
        """The names of those that are there."""
        return tuple(role for role, column in vars(self).items() if column is not None)

    @property
    def has_share(self) -> bool:
        """Whether the rows are plays."""
        return self.share is not None or self.played is not None

    @property
    def orders_by_position(self) -> bool:
        """Whether positions order interactions, in place of timestamps."""
        return self.position is not None and not self.has_share

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of what a store says that its rows have; played and duration are a share."""
        left_out = ["title", "artist", "duration"]
        if not self.orders_by_position:
            left_out.append("position")
        return tuple(
            "share" if name == "played" else name
            for name in self.known
            if name not in left_out
        )


@dataclass(frozen=True)
class Reading:
    """Settings for reading files.

    SQL is that of DuckDB, and sees the values of CSV files as text.
    """

    columns: Columns
    header: bool = True  # the first line of a CSV file names its columns
    delimiter: str | None = None  # between the values of a CSV file; None to detect it
    quoted: bool = True  # values of a CSV file may stand in quotation marks
    where: str | None = None  # a SQL condition; other rows are left out
    percent: bool = False  # shares are 0 to 100
    encoding: str | None = None  # of text files, as Python names it; None is UTF-8
    # The mark of decimals, where the other one separates thousands; None for plain numbers
    decimal: Decimal | None = None
    # of the timestamps, as `strptime` takes it; None for numbers and the usual ones
    date_format: str | None = None
    weight_scale: float = 1.0  # weights are multiplied by it, such as .001 for ms
    # further columns, and their SQL expressions
    computed: Mapping[str, str] = field(default_factory=dict)
    # A line is a list of items after their count, or after the listener's id
    lists: Literal["counted", "named"] | None = None

    @property
    def content(self) -> str:
        """The settings that decide what is read from the same bytes, as JSON; titles do not."""
        settings = asdict(self)
        for name in ("header", "delimiter", "quoted"):
            del settings[name]
        for name in ("title", "artist"):
            del settings["columns"][name]
        return json.dumps(settings)


def parse_columns(text: str) -> Columns:
    """Parse "user=uid,item=song,weight=seconds".

    Raises:
        AnalysisError: A name is unknown, missing, or given twice.
    """
    return columns_by_name(parse_roles(text))


def parse_roles(text: str) -> dict[str, str]:
    """Parse "item=song,weight=seconds", which need not be complete, by what the columns hold.

    Raises:
        AnalysisError: A pair is none, or a name is given twice.
    """
    roles: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, column = (part.strip() for part in pair.partition("="))
        if not separator or not column:
            raise AnalysisError(
                f"--columns {pair.strip()!r}: expected name=column, such as user=uid"
            )
        if name in roles:
            raise AnalysisError(f"--columns {name}: given twice")
        roles[name] = column
    return roles


def columns_by_name(named: Mapping[str, str]) -> Columns:
    """Return columns by the names of what they hold.

    Raises:
        AnalysisError: A name is unknown or missing.
    """
    roles = [role.name for role in fields(Columns)]
    for name in named:
        if name not in roles:
            nearest = difflib.get_close_matches(name, roles, n=1, cutoff=0)[0]
            raise AnalysisError(
                f"columns: {name}: unknown; the nearest is {nearest}, of {', '.join(roles)}"
            )
    if missing := [name for name in ("user", "item") if name not in named]:
        raise AnalysisError(f"columns: {' and '.join(missing)} not given")
    return Columns(**named)
