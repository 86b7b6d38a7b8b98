"""The lab's pages: a function of its settings."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

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
from listening_loop.api.serving import ServiceClient
from listening_loop.lab import folders
from listening_loop.lab.folders import (
    AB_REPORT,
    choose_rows,
    compare_rows,
    find_entries,
)
from listening_loop.lab.service import Publisher, list_versions, look
from looplib.errors import UserError
from recsys.report.figures import draw_curves, draw_leaderboard
from recsys.report.runs import Run
from recsys.runs.folder import LEDGER, REPORT, read_run
from recsys.runs.leaderboard import text_of
from recsys.workspace import open_workspace

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# Nothing is fetched, nothing runs, and no other site shows a page in a frame, to have its buttons
# clicked unseen.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'"
)
pages = Blueprint("lab", __name__)


@dataclass(frozen=True)
class LabSettings:
    """What the lab shows."""

    root: Path  # folder below which runs and reports are looked for
    # folder of the versions that the service follows; None: nothing can be published
    published: Path | None
    service: ServiceClient
    # the service's event log, for the live experiment; None: arms without numbers
    log: Path | None = None


def create_app(settings: LabSettings) -> Flask:
    """Make the app of a lab.

    There is no login: the lab is for the machine that it runs on. A page of another site can
    neither read it (its host name is not ours) nor post to it (browsers say where a form comes
    from).
    """
    app = Flask(__name__, static_folder=None)
    app.config["LAB"] = settings
    app.config["PUBLISHER"] = Publisher(settings.service)
    app.register_blueprint(pages)
    return app


@pages.before_app_request
def refuse_strangers() -> None:
    """Refuse requests under other names than local ones, and forms of other sites."""
    if request.host.rsplit(":", 1)[0] not in _LOCAL:
        abort(403, f"asked as {request.host}; ask 127.0.0.1")
    origin = request.headers.get("Origin")
    if request.method == "POST" and origin != request.host_url.rstrip("/"):
        abort(403, "a form of another site")


@pages.after_app_request
def restrict(response: Response) -> Response:
    """Forbid what no page of ours needs."""
    policy = f"{_POLICY}; form-action 'self'"
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    # without a referrer, forms have no origin either
    response.headers["Referrer-Policy"] = "same-origin"
    return response


@pages.app_errorhandler(Exception)
def explain(error: Exception) -> tuple[str, int]:
    """Show why there is no page; any other error in reading a run or report is its damage."""
    if isinstance(error, HTTPException):
        page = _page("problem", title=error.name, problem=error.description or "")
        return page, error.code or 500
    name = (request.view_args or {}).get("name")
    if name is None and not isinstance(error, UserError):
        raise error
    problem = folders.describe_damage(str(name), error)
    return _page("problem", title="That did not work", problem=problem), 409


@pages.get("/")
def overview() -> str:
    """Show all runs and reports, and what is served."""
    root = _lab().root
    runs, reports = find_entries(root, LEDGER), find_entries(root, AB_REPORT)
    return _page("overview", root=root, runs=runs, reports=reports)


@pages.get("/reports/<path:name>")
def report(name: str) -> Response:
    """Show the page of a search or of an experiment so that it can do nothing but be read."""
    page = folders.read_file(_lab().root, _find(REPORT, name) / REPORT)
    policy = {"Content-Security-Policy": f"sandbox; {_POLICY}"}
    return Response(page, mimetype="text/html", headers=policy)


@pages.get("/runs/<path:name>")
def run(name: str) -> str:
    """Show a run, finished or not."""
    found = _read_run(name)
    return _page(
        "run",
        run=found,
        figure=draw_leaderboard(found),
        has_report=(found.folder / REPORT).exists(),
        can_publish=_lab().published is not None,
    )


@pages.get("/compare/<path:name>")
def comparison(name: str) -> str:
    """Show trials of a run side by side."""
    trials = list(dict.fromkeys(request.args.getlist("trial")))
    if len(trials) < 2:
        abort(400, f"two or more trials are compared, {len(trials)} were chosen")
    found = _read_run(name)
    figure, rows = draw_curves(found, trials), choose_rows(found, trials)
    values = {"names": [found.label(row) for row in rows], "rows": rows}
    values["findings"] = compare_rows(found, rows)
    return _page("compare", run=found, figure=figure, **values)


@pages.get("/live")
def live_experiment() -> str:
    """Show the experiment so far."""
    lab = _lab()
    return _page("live", url=lab.service.url, **look(lab.service, lab.log))


@pages.route("/publish/<path:name>", methods=["GET", "POST"])
def publish(name: str) -> BaseResponse | str:
    """Ask whether the winner of a run is to be published, or publish it."""
    lab = _lab()
    if lab.published is None:
        abort(409, "nothing can be published: start the lab with --published")
    found = _read_run(name)
    config, winner = read_run(open_workspace(found.folder))
    if request.method == "POST":
        current_app.config["PUBLISHER"].start(found, lab.published, config.export)
        return redirect(url_for(".run", name=name), code=303)
    return _page("publish", run=found, winner=winner, export=config.export, lab=lab)


@pages.route("/rollback", methods=["GET", "POST"])
def roll_back() -> BaseResponse | str:
    """Ask which version is to be served again, or have it served."""
    lab = _lab()
    if request.method == "POST":
        chosen = {"version": request.form["version"]}
        lab.service.ask("POST", "/admin/rollback", chosen)
        return redirect(url_for(".live_experiment"), code=303)
    served = lab.service.ask("GET", "/experiments")["version"]
    versions = list_versions(lab.published) if lab.published else []
    others = [version for version in versions if version != served]
    return _page("rollback", served=served, versions=others, lab=lab)


def _lab() -> LabSettings:
    settings: LabSettings = current_app.config["LAB"]
    return settings


def _find(file: str, name: str) -> Path:
    """Find a folder by its name; only one that was found below the root can be named."""
    root = _lab().root
    folder = folders.find_folders(root, file).get(name)
    if folder is None:
        abort(404, f"no {file} of {name} below {root}")
    return folder


def _read_run(name: str) -> Run:
    return folders.read_run(_lab().root, _find(LEDGER, name))


def _page(template: str, **values: Any) -> str:  # noqa: ANN401  what the template uses
    file = f"{template}.html.jinja"
    tools = {"link": url_for, "when": _when, "setting": text_of}
    publisher = current_app.config["PUBLISHER"]
    templates = Path(__file__).parent / "templates"
    return render(templates, file, **tools, job=publisher, **values)


def _when(moment: datetime | str) -> str:
    text = moment if isinstance(moment, str) else moment.isoformat()
    return f"{numbers.day(text)} UTC"
