"""Find tables of plays or interactions, and say what their columns hold and how they are to be read."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from analysis.errors import InteractionFileError
from analysis.logs import files
from analysis.logs.files import LogFile

CSV = (".csv", ".tsv", ".txt", ".dat", ".data")
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
_KNOWN = f"{', '.join(CSV)} (CSV), {', '.join(JSON_LINES)} (JSON lines), both also with .gz, {', '.join(PARQUET)}"


@dataclass(frozen=True)
class Columns:
    """The columns of a file by what they hold; of a file without header their positions, from "1".

    With a share and a timestamp or a session, the rows are plays, which become events; else they are interactions.

    Raises:
        InteractionFileError: They do not go together.
    """

    user: str
    item: str
    weight: str | None = None
    timestamp: str | None = None
    session: str | None = None
    share: str | None = None  # of the track that was heard
    played: str | None = None  # time that was heard; the share is played / duration
    duration: str | None = None  # of the track, in the same unit
    position: str | None = None  # orders rows of a session with the same timestamp
    organic: str | None = None  # the listener chose the track, which opens a session
    propensity: str | None = None  # probability with which the track was recommended
    title: str | None = None
    artist: str | None = None

    def __post_init__(self) -> None:
        """Refuse columns that do not go together."""
        alone = next((name for name in ("position", "organic", "propensity") if getattr(self, name)), None)
        faults = {
            f"user and item are the same column, {self.user}": self.user == self.item,
            "played and duration go together": (self.played is None) != (self.duration is None),
            "share and played both say how much was heard; name one": self.share and self.played,
            "weight and share both say how much was heard; name one": self.weight and self.has_share,
            f"{alone} belongs to plays, which need share=, or played= and duration=": alone and not self.has_share,
            "plays need timestamp= or session=; of a share alone make interactions, weight=": self.has_share
            and not (self.timestamp or self.session),
        }
        if fault := next((text for text, is_one in faults.items() if is_one), None):
            raise InteractionFileError(f"--columns: {fault}")

    @property
    def known(self) -> tuple[str, ...]:
        """The names of those that are there."""
        return tuple(role.name for role in fields(self) if getattr(self, role.name) is not None)

    @property
    def has_share(self) -> bool:
        """Whether the rows are plays."""
        return self.share is not None or self.played is not None

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of what a store says that its rows have; played and duration are a share."""
        left_out = ("title", "artist", "duration", "position")
        return tuple("share" if name == "played" else name for name in self.known if name not in left_out)


@dataclass(frozen=True)
class Reading:
    """Settings for reading files; SQL is that of DuckDB, and sees the values of CSV files as text."""

    columns: Columns
    header: bool = True  # the first line of a CSV file names its columns
    delimiter: str | None = None  # between the values of a CSV file; None to detect it
    quoted: bool = True  # values of a CSV file may stand in quotation marks
    where: str | None = None  # a SQL condition; other rows are left out
    percent: bool = False  # shares are 0 to 100
    computed: Mapping[str, str] = field(default_factory=dict)  # further columns, and their SQL expressions
    # A line is a list of items after their count, or after the listener's id
    lists: Literal["counted", "named"] | None = None

    @property
    def content(self) -> str:
        """What makes of the same bytes another content; titles do not, and of interactions it is as it ever was."""
        columns = asdict(self.columns)
        first = ", ".join(f"{name}={columns[name]!r}" for name in ("user", "item", "weight", "timestamp", "session"))
        more = {name: columns[name] for name in ("share", "played", "duration", "position", "organic", "propensity")}
        more |= {"where": self.where, "percent": self.percent, "computed": dict(self.computed), "lists": self.lists}
        given = [f"{name}={value!r}" for name, value in more.items() if value]
        return " ".join([f"Columns({first})", *given])


def parse_columns(text: str) -> Columns:
    """Parse "user=uid,item=song,weight=seconds"; an InteractionFileError says what is wrong with a name."""
    known = [role.name for role in fields(Columns)]
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, column = (part.strip() for part in pair.partition("="))
        if not separator or not column:
            raise InteractionFileError(f"--columns {pair.strip()!r}: expected name=column, such as user=uid")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise InteractionFileError(
                f"--columns {name}: unknown; the nearest is {nearest}, known are {', '.join(known)}"
            )
        if name in found:
            raise InteractionFileError(f"--columns {name}: given twice")
        found[name] = column
    if missing := [name for name in ("user", "item") if name not in found]:
        raise InteractionFileError(f"--columns {text}: {' and '.join(missing)} not given")
    return Columns(**found)


def discover(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files that names, folders and glob patterns stand for; of a folder, those of a known kind at any depth.

    Raises:
        InteractionFileError: There is none, or it is of no known kind.
    """
    missing = f"no file of plays or interactions here; known are {_KNOWN}"
    logs = files.discover(paths, (*CSV, *JSON_LINES, *PARQUET), missing, InteractionFileError)
    for file in logs:
        suffix_of(file)
    return logs


def suffix_of(file: LogFile) -> str:
    """Return the suffix that says how a file is to be read, or raise an InteractionFileError if it is not known."""
    suffix = (file.path.with_suffix("") if file.is_gzipped else file.path).suffix.lower()
    if suffix not in (*CSV, *JSON_LINES, *(() if file.is_gzipped else PARQUET)) or not file.path.is_file():
        raise InteractionFileError(f"{file.name}: no file of interactions; known are {_KNOWN}")
    return suffix
