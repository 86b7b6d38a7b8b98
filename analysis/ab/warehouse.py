"""Write the statement with which a database computes the moments of arms, in its own dialect.

In: a query whose rows are listeners or sessions. Out: a statement whose result is a table of
aggregates, which `table` reads.
"""

import sqlglot
from sqlglot import exp

from analysis import queries
from analysis.ab.config import AbConfig, Dialect
from analysis.ab.metrics import ROWS
from analysis.errors import AnalysisError


def moments_statement(
    query: str, config: AbConfig, dialect: Dialect, arm: str, listener: str | None
) -> str:
    """Write the statement that computes the moments of metrics, which are columns of a query.

    Args:
        query: The query, in the dialect.
        config: Configuration with the metrics.
        dialect: Dialect of the database.
        arm: The column of arms.
        listener: The column of listeners, if they have several rows.

    Raises:
        AnalysisError: The query cannot be parsed.
    """
    try:
        source = sqlglot.parse_one(query, dialect=dialect)
    except sqlglot.ParseError as error:
        raise AnalysisError(f"the query: {queries.one_line(error)}") from None

    def column(name: str, kind: str) -> exp.Expression:
        # Snowflake's names are in capitals unless quoted; sqlglot quotes names with spaces.
        value = exp.column(name, quoted=dialect != "snowflake" or None)
        return exp.cast(exp.Literal.number(1) if name == ROWS else value, kind)

    selects = []
    for metric in config.reported:
        columns = {
            "arm": column(arm, "text"),
            "metric": exp.Literal.string(metric.name),
            "numerator": column(metric.numerator, "double"),
            "denominator": column(metric.denominator, "double"),
        }
        if listener:
            columns["listener"] = column(listener, "text")
        named = (value.as_(name) for name, value in columns.items())
        selects.append(exp.select(*named).from_("source"))
    rows: exp.Query = selects[0]
    for select in selects[1:]:
        rows = rows.union(select, distinct=False)
    moments = _read("ab/moments").with_("source", as_=source)
    if listener:
        moments = moments.with_("table_rows", as_=rows)
        rows = _read("ab/listener_sums")
    moments = moments.with_("table_values", as_=rows)
    names = [
        value.unalias().as_(value.alias_or_name, quoted=True)
        for value in moments.selects
    ]
    moments = moments.select(*names, append=False)
    return moments.sql(dialect=dialect, pretty=True, comments=False)


def _read(name: str) -> exp.Select:
    """Parse a statement of ours."""
    return exp.maybe_parse(queries.statement(name), into=exp.Select, dialect="duckdb")
