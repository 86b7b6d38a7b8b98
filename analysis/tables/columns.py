"""Describe the columns of a table of plays or interactions, and the reading of its files."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from analysis.errors import AnalysisError

Decimal = Literal["point", "comma"]


@dataclass(frozen=True)
class Columns:
    """The columns of a file by what they hold; of a file without header their positions, from "1".

    An id may be made of several: "artist+track" is such as "Nina - A song"; so may a timestamp,
    "date+time". "@file" and "@folder"
    stand for the name of the file, without its suffix, and of its folder. Fields of nested objects
    are named by dots, and elements of lists with [], as in "tracks[].title".

    With a share and a timestamp or a session, the rows are plays, which become events; else they
    are interactions.

    Raises:
        AnalysisError: They do not go together.
    """

    user: str
    item: str
    weight: str | None = None
    event: str | None = None  # what a row is, and its weight: "kind:buy=5,view=1"
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
        try:
            weighs_events = bool(self.event_weights)
        except ValueError:
            raise AnalysisError(
                f"--columns event={self.event}: expected a column and the weights of its values, "
                "such as event=event_type:purchase=5,cart=2,view=1"
            ) from None
        faults = {
            f"user and item are the same column, {self.user}": self.user == self.item,
            "played and duration go together": (self.played is None)
            != (self.duration is None),
            "share and played both say how much was heard; name one": self.share
            and self.played,
            "weight and share both say how much was heard; name one": self.weight
            and self.has_share,
            "event gives weights; name it, or weight or share": weighs_events
            and (self.weight or self.has_share),
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
    def by_role(self) -> dict[str, str]:
        """Those that are there, by what they hold."""
        return {role: column for role, column in vars(self).items() if column}

    @property
    def event_column(self) -> str:
        """The column of events; "" without."""
        return (self.event or "").partition("=")[0].rpartition(":")[0]

    @property
    def event_weights(self) -> dict[str, float]:
        """The weights by event; other rows are left out."""
        if self.event is None:
            return {}
        text = self.event.removeprefix(self.event_column).removeprefix(":")
        pairs = (pair.rpartition("=") for pair in text.split(","))
        return {kind.strip(): float(weight) for kind, _, weight in pairs}

    @property
    def names(self) -> set[str]:
        """The columns that a file must have, for ids of several those of all parts."""
        columns = {**self.by_role, "event": self.event_column}.values()
        parts = {part for column in columns for part in column.split("+")}
        return {part for part in parts if part[:1] not in "@"}

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
        says = {"played": "share", "event": "weight"}
        return tuple(
            says.get(name, name) for name in self.by_role if name not in left_out
        )


# what columns may hold
ROLES = tuple(role.name for role in fields(Columns))


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
    table: str | None = None  # of a database; None where it has one alone
    percent: bool = False  # shares are 0 to 100
    encoding: str | None = None  # of text files, as Python names it; None is UTF-8
    # The mark of decimals, where the other one separates thousands; None for plain numbers
    decimal: Decimal | None = None
    # of the timestamps, as `strptime` takes it; None for numbers and the usual ones
    date_format: str | None = None
    weight_scale: float = 1.0  # weights are multiplied by it, such as .001 for ms
    # further columns, and their SQL expressions
    computed: Mapping[str, str] = field(default_factory=dict)
    lists: bool = False  # a line is a list of items after the listener's id

    def content(self, file: str) -> str:
        """Name what decides what is read from the bytes of a file, as JSON; titles do not.

        That includes the names of the file and its folder, where a column is one of them.
        """
        settings = asdict(self)
        for name in ("header", "delimiter", "quoted"):
            del settings[name]
        for name in ("title", "artist"):
            del settings["columns"][name]
        columns = settings["columns"].values()
        names = file_names(file).items()
        settings |= {name: value for name, value in names if name in columns}
        return json.dumps(settings)


def file_names(file: str) -> dict[str, str]:
    """Name what stands for a file in `Columns`."""
    path = Path(file)
    return {"@file": path.name.partition(".")[0], "@folder": path.parent.name}


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
        if list(roles)[-1:] == ["event"] and name not in ROLES:  # one more event
            roles["event"] += f",{name}={column}"
            continue
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
    for name, column in named.items():
        if not isinstance(column, str):
            raise AnalysisError(
                f"columns: {name}={column!r}: a name in text is expected, of several 'a+b'"
            )
        if name not in ROLES:
            nearest = difflib.get_close_matches(name, ROLES, n=1, cutoff=0)[0]
            raise AnalysisError(
                f"columns: {name}: unknown; the nearest is {nearest}, of {', '.join(ROLES)}"
            )
    if missing := [name for name in ("user", "item") if name not in named]:
        raise AnalysisError(f"columns: {' and '.join(missing)} not given")
    return Columns(**named)
