"""The lab's pages: a function of its settings."""

import io
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    redirect,
    request,
    url_for,
)
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from analysis.page import numbers
from analysis.page.render import render
from listening_loop.errors import LabError
from listening_loop.lab import runs
from listening_loop.lab.runs import AB_REPORT, NOTE, RUN, compare, view
from listening_loop.lab.service import Publisher, Service, look, read_versions
from looplib.errors import UserError
from looplib.files import atomic_write_text
from recsys.report.figures import draw_curves, draw_leaderboard
from recsys.report.runs import Run
from recsys.runs.folder import REPORT, read_run
from recsys.runs.leaderboard import text_of
from recsys.workspace import open_workspace

_LONGEST_NOTE = 2000  # characters
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# Nothing is fetched, nothing runs, and no other site shows a page in a frame, to have its buttons
# clicked unseen.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
pages = Blueprint("lab", __name__)


@dataclass(frozen=True)
class LabSettings:
    """What the lab shows."""

    root: Path  # folder below which runs and reports are looked for
    # folder of the versions that the service follows; None: nothing can be published
    published: Path | None
    service: Service
    # the service's event log, for the live experiment; None: arms without numbers
    log: Path | None = None
    hosts: tuple[
        str, ...
    ] = ()  # names by which the lab may be addressed, beside the local ones


def create_app(settings: LabSettings) -> Flask:
    """Make the app of a lab.

    There is no login: the lab is for the machine that it runs on. A page of another site can
    neither read it (its host name is not ours) nor post to it (browsers say where a form comes
    from).
    """
    app = Flask(__name__, static_folder=None)
    app.config["LAB"], app.config["PUBLISHER"] = settings, Publisher(settings.service)
    app.register_blueprint(pages)
    return app


@pages.before_app_request
def refuse_strangers() -> None:
    """Refuse requests under other names than the lab's, and forms of other sites."""
    if request.host.rsplit(":", 1)[0] not in (*_LOCAL, *_lab().hosts):
        abort(
            403,
            f"asked as {request.host}; start the lab with --host-name for other names than localhost",
        )
    if request.method == "POST" and request.headers.get(
        "Origin"
    ) != request.host_url.rstrip("/"):
        abort(403, "a form of another site")


@pages.after_app_request
def restrict(response: Response) -> Response:
    """Forbid what no page of ours needs."""
    response.headers.setdefault(
        "Content-Security-Policy", f"{_POLICY}; form-action 'self'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    # without a referrer, forms have no origin either
    response.headers["Referrer-Policy"] = "same-origin"
    return response


@pages.app_errorhandler(Exception)
def explain(error: Exception) -> tuple[str, int]:
    """Show why there is no page; whatever one stumbles over in the files of a run or report is their damage."""
    if isinstance(error, HTTPException):
        return _page(
            "problem", title=error.name, problem=error.description or ""
        ), error.code or 500
    name = (request.view_args or {}).get("name")
    if name is None and not isinstance(error, UserError):
        raise error
    return _page(
        "problem", title="That did not work", problem=runs.damage(str(name), error)
    ), 409


@pages.get("/")
def overview() -> str:
    """Show all runs and reports, and what is served."""
    lab = _lab()
    try:
        served, note = lab.service.ask("GET", "/experiments"), lab.service.url
    except LabError as error:
        served, note = None, str(error)
    found = {
        "runs": runs.find_entries(lab.root, RUN),
        "reports": runs.find_entries(lab.root, AB_REPORT),
    }
    return _page("overview", root=lab.root, served=served, note=note, **found)


@pages.get("/<any('search-reports', reports):kind>/<path:name>")
def report(kind: str, name: str) -> Response:
    """Show the page of a search or of an experiment as it was written, so that it can do nothing but be read."""
    folder = _find(AB_REPORT if kind == "reports" else RUN, name)
    if not os.path.lexists(folder / REPORT):
        abort(404, f"{name}: no report yet; a finished search has one")
    policy = {"Content-Security-Policy": f"sandbox; {_POLICY}"}
    return Response(
        runs.read_page(_lab().root, folder), mimetype="text/html", headers=policy
    )


@pages.get("/runs/<path:name>")
def run(name: str) -> str:
    """Show a run, finished or not."""
    found = _read_run(name)
    shown = view(found, request.args)
    return _page(
        "run",
        run=found,
        view=shown,
        figure=draw_leaderboard(found, shown["metric"]),
        note=runs.read_note(found.folder),
        has_report=(found.folder / REPORT).exists(),
        can_publish=_lab().published is not None,
    )


@pages.get("/download/<any(csv, json):kind>/<path:name>")
def download(kind: str, name: str) -> Response:
    """Return the leaderboard of a run."""
    rows = _read_run(name).rows
    if kind == "json":
        return Response(
            orjson.dumps(rows, option=orjson.OPT_INDENT_2), mimetype="application/json"
        )
    content = io.BytesIO()
    pa.csv.write_csv(pa.Table.from_pylist([dict(row) for row in rows]), content)
    return Response(content.getvalue(), mimetype="text/csv")


@pages.get("/compare/<path:name>")
def comparison(name: str) -> str:
    """Show trials of a run side by side."""
    trials = list(dict.fromkeys(request.args.getlist("trial")))
    if len(trials) < 2:
        abort(400, f"two or more trials are compared, {len(trials)} were chosen")
    found = _read_run(name)
    return _page(
        "compare",
        run=found,
        figure=draw_curves(found, trials),
        **compare(found, trials),
    )


@pages.get("/live")
def live_experiment() -> str:
    """Show the experiment so far."""
    return _page("live", live=look(_lab().service, _lab().log))


@pages.route("/publish/<path:name>", methods=["GET", "POST"])
def publish(name: str) -> BaseResponse | str:
    """Ask whether the winner of a run is to be published, or publish it."""
    lab = _lab()
    if lab.published is None:
        abort(409, "nothing can be published: start the lab with --published")
    found = _read_run(name)
    config, winner = read_run(open_workspace(found.folder))
    if request.method == "GET":
        served = lab.service.ask("GET", "/experiments")
        return _page(
            "publish",
            run=found,
            winner=winner,
            export=config.export,
            served=served,
            settings=lab,
        )
    current_app.config["PUBLISHER"].start(
        name, found.folder, lab.published, config.export
    )
    return redirect(url_for(".run", name=name), code=303)


@pages.route("/rollback", methods=["GET", "POST"])
def roll_back() -> BaseResponse | str:
    """Ask which version is to be served again, or have it served."""
    lab = _lab()
    if request.method == "GET":
        served = lab.service.ask("GET", "/experiments")
        versions = read_versions(lab.published) if lab.published else []
        others = [
            version for version in versions if version["model"] != served["version"]
        ]
        return _page("rollback", served=served, versions=others, settings=lab)
    lab.service.ask("POST", "/admin/rollback", {"version": request.form["version"]})
    return redirect(url_for(".live_experiment"), code=303)


@pages.post("/note/<path:name>")
def note(name: str) -> BaseResponse:
    """Keep what somebody has to say of a run."""
    atomic_write_text(
        _find(RUN, name) / NOTE, request.form.get("note", "").strip()[:_LONGEST_NOTE]
    )
    return redirect(url_for(".run", name=name), code=303)


def _lab() -> LabSettings:
    settings: LabSettings = current_app.config["LAB"]
    return settings


def _find(files: tuple[str, ...], name: str) -> Path:
    """Find a run or report by its name; only a folder that was found below the root can be named."""
    folder = runs.find_folders(_lab().root, files).get(name)
    if folder is None:
        abort(
            404, f"no {'run' if files == RUN else 'report'} {name} below {_lab().root}"
        )
    return folder


def _read_run(name: str) -> Run:
    return runs.read_run_in(_lab().root, _find(RUN, name))


def _page(template: str, **values: Any) -> str:  # noqa: ANN401  what the template uses
    tools = {
        "link": url_for,
        "when": _when,
        "setting": text_of,
        "job": current_app.config["PUBLISHER"].job,
    }
    return render(
        Path(__file__).parent / "templates", f"{template}.html.jinja", **tools, **values
    )


def _when(moment: datetime | str) -> str:
    return (
        f"{numbers.day(moment if isinstance(moment, str) else moment.isoformat())} UTC"
    )
