"""Build the lab's Flask application from its settings."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from analysis.ab import page
from analysis.ab.config import AbConfig
from analysis.ab.page import page_values
from analysis.ab.report import build_report
from analysis.page.render import render
from listening_loop.client import ServiceClient
from listening_loop.errors import LoopError
from listening_loop.lab import folders
from looplib.errors import UserError
from recsys.report.page import render_run
from recsys.search.folder import REPORT, WINNER, check_digest, read_winner
from recsys.storage import open_workspace

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# Nothing is fetched, nothing runs, nothing is sent, and no other site shows a page in a frame.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_TEMPLATES = (Path(__file__).parent / "templates", page.FOLDER)
pages = Blueprint("lab", __name__)


def create_app(root: Path, service: ServiceClient, log: Path | None = None) -> Flask:
    """Make the app of a lab.

    There is no login: the lab is for the machine that it runs on, and changes nothing. A page of
    another site cannot read it: its host name is not ours.

    Args:
        root: The folder below which runs and reports are looked for.
        service: The service whose experiment is shown.
        log: Its event log, for the live experiment; None: arms without numbers.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(ROOT=root, SERVICE=service, LOG=log)
    app.register_blueprint(pages)
    return app


@pages.before_app_request
def refuse_strangers() -> None:
    """Refuse requests under other names than local ones."""
    if request.host.rsplit(":", 1)[0] not in _LOCAL:
        abort(403, f"asked as {request.host}; ask 127.0.0.1")


@pages.after_app_request
def restrict(response: Response) -> Response:
    """Set headers that forbid scripts and foreign hosts."""
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
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
    """Show all runs and reports."""
    return _page("overview", root=_root(), entries=folders.find_entries(_root()))


@pages.get("/reports/<path:name>")
def report(name: str) -> ResponseReturnValue:
    """Show the page of a run or of an experiment so that it can do nothing but be read.

    Of a run without one, what is scored so far.
    """
    file = folders.find_files(_root()).get(name)
    if file is None:
        abort(404, f"no {name} below {_root()}")
    folder = file.parent
    if not os.path.lexists(folder / REPORT):
        return render_run(folders.read_run(_root(), folder), links=_links())
    page = folders.read_file(_root(), folder / REPORT)
    if (folder / WINNER).exists():
        run = open_workspace(folder)
        check_digest(run, read_winner(run), REPORT)
    policy = {"Content-Security-Policy": f"sandbox; {_POLICY}"}
    return Response(page, mimetype="text/html", headers=policy)


@pages.get("/live")
def live_experiment() -> str:
    """Show the experiment so far, with intervals that hold on every day."""
    service, log = current_app.config["SERVICE"], current_app.config["LOG"]
    served = report = None
    note = ""
    try:
        served = service.ask("GET", "/experiments")
        if log is None:
            raise LoopError("no event log is given")
        deciding = next(row for row in served["experiments"] if row["decides"])
        shares = {arm["name"]: arm["share"] for arm in deciding["arms"]}
        control = deciding["arms"][0]["name"]
        settings = AbConfig(control=control, shares=shares, secondary=())
        report = build_report([log], deciding["name"], settings)
    except UserError as error:
        note = str(error)
    values = page_values(report) if report else {"report": None}
    return _page("live", url=service.url, served=served, note=note, **values)


def _root() -> Path:
    root: Path = current_app.config["ROOT"]
    return root


def _links() -> dict[str, str]:
    return {
        "Lab": url_for("lab.overview"),
        "Live experiment": url_for("lab.live_experiment"),
    }


def _page(template: str, **values: Any) -> str:  # noqa: ANN401  what the template uses
    file = f"{template}.html.jinja"
    tools = {"link": url_for, "when": _when, "links": _links()}
    return render(_TEMPLATES, file, **tools, **values)


def _when(moment: datetime | str) -> str:
    return f"{str(moment)[:16].replace('T', ' ')} UTC"
