"""A DuckDB file with all that a report was made from, for the `duckdb` command line: version 1.0 and later open it."""

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.ab.effects import MetricEffect
from analysis.ab.metrics import Metric
from looplib.files import atomic_write

EVENTS = "all_events"  # the table of all slices' events, which only a warehouse needs
_TABLES = {"events": EVENTS, "sessions": "all_sessions", "listeners": "listener_sums_whole", "effects": "effects"}
_MACROS = {"by_arm(x)": "ab/warehouse_by_arm"}


def write(
    connection: queries.Connection, effects: Sequence[MetricEffect], metrics: Iterable[Metric], file: Path
) -> None:
    """Write the tables of `measures.measure` to a file, with the effects and a macro `by_arm(x)`.

    A metric of one's own has a table of its rows by listener, which is called `own_` and its name.
    """
    rows = pa.Table.from_pylist([_row(effect) for effect in effects])
    queries.attach_arrow(connection, "effects", rows)
    own = {metric.source: f"{metric.source}_whole" for metric in metrics if metric.source.startswith("own_")}
    with tempfile.TemporaryDirectory(prefix="ab-") as folder:
        whole = Path(folder) / "warehouse.duckdb"
        queries.write_database(connection, whole, _TABLES | own, _MACROS)
        with whole.open("rb") as source, atomic_write(file) as target:
            shutil.copyfileobj(source, target)


def _row(effect: MetricEffect) -> dict[str, object]:
    """Return an effect with the interval that decides."""
    decides, names = effect.deciding.relative, ("arm", "metric", "label", "role", "control_value", "arm_value")
    row = {name: getattr(effect, name) for name in names}
    row |= {"effect_pct": decides.effect_pct, "lower_pct": decides.lower_pct, "upper_pct": decides.upper_pct}
    return row | {name: getattr(effect, name) for name in ("adjusted_p_value", "significant", "guardrail")}
