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

from analysis.ab.page.page import TONES
from analysis.page import numbers
from analysis.page.render import render
from listening_loop.client import ServiceClient
from listening_loop.lab import folders
from listening_loop.lab.folders import AB_REPORT, find_entries
from listening_loop.lab.service import list_versions, look
from looplib.errors import UserError
from recsys.export.export import export_run
from recsys.report.figures import draw_leaderboard
from recsys.report.runs import Run
from recsys.runs.folder import (
    LEDGER,
    REPORT,
    WINNER,
    check_digest,
    read_run,
    read_winner,
)
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
    """Show all runs, reports and published versions."""
    lab = _lab()
    runs, reports = find_entries(lab.root, LEDGER), find_entries(lab.root, AB_REPORT)
    versions = list_versions(lab.published) if lab.published else []
    found = {"runs": runs, "reports": reports, "versions": versions}
    return _page("overview", root=lab.root, **found)


@pages.get("/reports/<path:name>")
def report(name: str) -> Response:
    """Show the page of a search or of an experiment so that it can do nothing but be read."""
    folder = _find(REPORT, name)
    page = folders.read_file(_lab().root, folder / REPORT)
    if (folder / WINNER).exists():
        run = open_workspace(folder)
        check_digest(run, read_winner(run), REPORT)
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
        lab=_lab(),
    )


@pages.get("/live")
def live_experiment() -> str:
    """Show the experiment so far."""
    lab = _lab()
    found = look(lab.service, lab.log)
    return _page("live", url=lab.service.url, tones=TONES, **found)


@pages.post("/publish/<path:name>")
def publish(name: str) -> BaseResponse:
    """Publish the winner of a run, which takes as long as a fit, and have it served."""
    lab = _lab()
    if lab.published is None:
        abort(409, "nothing can be published: start the lab with --published")
    folder = _read_run(name).folder
    config, _ = read_run(open_workspace(folder))
    export_run(folder, lab.published, config.export)
    if lab.service.token:  # else the service finds it by itself
        lab.service.ask("POST", "/admin/reload")
    return redirect(url_for(".live_experiment"), code=303)


@pages.post("/rollback")
def roll_back() -> BaseResponse:
    """Have a version served that was published before."""
    chosen = {"version": request.form["version"]}
    _lab().service.ask("POST", "/admin/rollback", chosen)
    return redirect(url_for(".live_experiment"), code=303)


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
    tools = {"link": url_for, "when": _when}
    templates = Path(__file__).parent / "templates"
    return render(templates, file, **tools, **values)


def _when(moment: datetime | str) -> str:
    text = moment if isinstance(moment, str) else moment.isoformat()
    return f"{numbers.day(text)} UTC"
