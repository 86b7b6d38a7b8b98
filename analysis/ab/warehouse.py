"""Write the statement with which a database sums up an experiment, in its own dialect.

In: rows of listeners or sessions. Out: a statement whose result is a table of aggregates, which
`table` reads. DuckDB runs it for tables, and `--print-sql` prints it for warehouses.
"""

from collections.abc import Iterable

import sqlglot
from sqlglot import exp

from analysis import queries
from analysis.ab.config import Dialect
from analysis.ab.metrics import ROWS, Metric
from analysis.errors import AnalysisError

SOURCE = "experiment_rows"  # the table that the statement reads
_TOO_LARGE = 1e100  # the square of a larger number may be infinite


def moments_statement(
    metrics: Iterable[Metric],
    arm: str,
    listener: str | None,
    query: str = "",
    dialect: Dialect = "duckdb",
    name: str = "ab/moments",
) -> str:
    """Write the statement that computes the moments of metrics, which are columns of a table.

    Args:
        metrics: Metrics, at least one.
        arm: The column of arms.
        listener: The column of listeners, if they have several rows.
        query: A query in the dialect whose rows are read, in place of the table `SOURCE`.
        dialect: Dialect of the database.
        name: The SQL file that reads the values.

    Raises:
        AnalysisError: The query cannot be parsed.
    """

    def column(name: str) -> exp.Expression:
        # Snowflake's names are in capitals unless quoted; sqlglot quotes names with spaces.
        return exp.column(name, quoted=dialect != "snowflake" or None)

    def number(name: str) -> exp.Expression:
        value = exp.Literal.number(1) if name == ROWS else column(name)
        value = exp.cast(value, "double")
        return exp.case().when(exp.func("abs", value) < _TOO_LARGE, value)

    selects = []
    for metric in metrics:
        columns = {
            "arm": exp.cast(column(arm), "text"),
            "metric": exp.Literal.string(metric.name),
            "numerator": number(metric.numerator),
            "denominator": number(metric.denominator),
        }
        if listener:
            columns["listener"] = column(listener)
        named = (value.as_(name) for name, value in columns.items())
        selects.append(exp.select(*named).from_(SOURCE))
    rows: exp.Query = exp.union(*selects, distinct=False) if selects[1:] else selects[0]
    moments = _read(name)
    if query:
        try:
            source = sqlglot.parse_one(query, dialect=dialect)
        except sqlglot.ParseError as error:
            raise AnalysisError(f"the query: {queries.one_line(error)}") from None
        moments = moments.with_(SOURCE, as_=source)
    if listener:
        moments = moments.with_("table_rows", as_=rows)
        rows = _read("ab/listener_sums")
    moments = moments.with_("table_values", as_=rows)
    if name != "ab/moments":  # a log's values have these columns as well
        constants = '0 AS "user"', "'' AS segment", "0 AS day"
        values = exp.select("*", *constants).from_("table_values")
        moments = moments.with_("listener_values", as_=values)
    return moments.sql(dialect=dialect, pretty=True, comments=False)


def _read(name: str) -> exp.Select:
    """Parse a statement of ours."""
    return exp.maybe_parse(queries.statement(name), into=exp.Select, dialect="duckdb")
