"""The trials of a run as a page's address asks for them: which metric, which order, which trials."""

from collections.abc import Mapping
from dataclasses import dataclass

from recsys.report.runs import Row, Run


@dataclass(frozen=True)
class View:
    """Trials of a run; the address of a page has the same choices, so that it can be kept and passed on."""

    metric: str
    sort: str  # the column that decides the order
    order: str  # "up" or "down"
    find: str  # text that the trials have in their name, model or state; empty for all
    rows: tuple[Row, ...]

    def towards(self, column: str) -> dict[str, str]:
        """Return the choices that sort by a column; by the one that sorts already, the other way round."""
        order = "up" if column == self.sort and self.order == "down" else "down"
        return {"metric": self.metric, "find": self.find, "sort": column, "order": order}


def view(run: Run, chosen: Mapping[str, str]) -> View:
    """Select and sort the trials of a run by choices, each of which may be missing; unknown ones count for nothing."""
    metric = chosen.get("metric", "")
    metric = metric if metric in run.metrics else run.select
    find = chosen.get("find", "").strip()
    sort, order = chosen.get("sort", ""), "up" if chosen.get("order") == "up" else "down"
    columns = {"model", "state", "sweep", "fit_s", *run.axes}
    sort = sort if sort in columns else metric
    rows = [row for row in run.rows if find.lower() in f"{run.label(row)} {row['model']} {row['state']}".lower()]
    known = [row for row in rows if row.get(sort) is not None]
    known.sort(key=lambda row: row[sort], reverse=order == "down")
    return View(metric, sort, order, find, (*known, *(row for row in rows if row.get(sort) is None)))
