"""A metric: a `.sql` file with its settings in the head, or columns of a table."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from analysis import queries
from analysis.queries import SQL_FOLDER
from looplib.config import Config, parse_config
from looplib.errors import ConfigError

ROWS = "number of rows"  # denominator that counts a listener's rows in a table


class Metric(Config):
    """A metric: sums of each listener, and how they combine in an arm.

    The settings stand in the head of its `.sql` file, a line `-- key: value` each, such as
    `-- label: listening time per session`.
    """

    # its name in configurations and reports
    name: str = ""
    label: str = ""  # its name for people
    unit: str = ""  # unit of its values, such as ms
    # File for a log, with a row a user, arm and segment, and columns `numerator` and `denominator`;
    # for a quantile any number of rows and a column `value`
    sql: Path | None = None
    # Columns of a table, or `ROWS`
    numerator: str = ""
    denominator: str = ""
    # "ratio" of the sums over all listeners, "mean" of the numerator over them, or "mean of
    # ratios" over the listeners who have a ratio
    kind: Literal["ratio", "mean", "mean of ratios"] = "ratio"
    better: Literal["higher", "lower"] = "higher"  # the better direction
    # share below the quantile, over the values of all listeners
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    # the reason for a missing value, as reports show it
    absent: str = "there is no value of it"
    # CUPED: whether its value before the experiment is a covariate
    has_past: bool = True
    # Margin of a built-in metric that is a guardrail by default: how much worse it may get, in its
    # unit or in % of the control's value
    margin: float | None = None
    margin_pct: float | None = None

    @cached_property
    def rows(self) -> str:
        """The name of its rows in a log, which quantiles of the same rows share."""
        if self.quantile is None:
            return self.name
        return re.sub(r"--.*\n", "", queries.statement(str(self.sql)))

    @property
    def is_higher(self) -> bool:
        """Whether more of it is better."""
        return self.better == "higher"


def define_metric(name: str, text: str, *, is_lower: bool = False) -> Metric:
    """Define a metric by its `.sql` file, or by a column of a table, or a ratio of two.

    Raises:
        ConfigError: The file cannot be read, or its head cannot be used.

    >>> define_metric("pace", "minutes / sessions").denominator
    'sessions'
    """
    if text.endswith(".sql"):
        return read_metric(Path(text), name)
    numerator, _, denominator = map(str.strip, text.partition("/"))
    return Metric(
        name=name,
        label=name,
        numerator=numerator,
        denominator=denominator or ROWS,
        better="lower" if is_lower else "higher",
    )


def read_metric(file: Path, name: str) -> Metric:
    """Read the settings of a metric in the leading comments of its file.

    Raises:
        ConfigError: The file cannot be read, or its head cannot be used.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    (head,) = re.findall(r"\A(?:--.*\n)*", text.lstrip())
    settings = dict(re.findall(r"^-- ([a-z_]+): (.*\S)", head, re.MULTILINE))
    document = {"label": name, **settings, "name": name, "sql": file}
    return parse_config(Metric, document, str(file))


def read_metrics(folder: Path) -> dict[str, Metric]:
    """Read the metrics of a folder by name.

    Raises:
        ConfigError: The head of a file cannot be used.
    """
    files = sorted(folder.glob("*.sql"))
    return {file.stem: read_metric(file, file.stem) for file in files}


METRICS = read_metrics(SQL_FOLDER / "metrics")
