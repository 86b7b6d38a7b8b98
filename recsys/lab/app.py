"""The lab's pages: a function of its settings."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.csv
from flask import Flask, Response, abort, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from analysis.page import numbers
from analysis.page.render import render
from looplib.errors import UserError
from looplib.files import atomic_write_text
from recsys.errors import LabError
from recsys.lab.comparison import compare
from recsys.lab.found import (
    AB_REPORT,
    NOTE,
    RUN,
    damage_named,
    find_folders,
    find_reports,
    find_runs,
    read_note,
    read_page,
    read_run_in,
)
from recsys.lab.live import draw_effects, look
from recsys.lab.publishing import Publisher, Service, Version, read_versions
from recsys.lab.view import view
from recsys.report.figures import draw_curves, draw_leaderboard
from recsys.report.runs import Run
from recsys.runs.folder import REPORT, read_run
from recsys.workspace import open_workspace

_LONGEST_NOTE = 2000  # characters
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# Nothing is fetched, nothing runs, and no other site shows a page in a frame, to have its buttons clicked unseen.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class LabSettings:
    """What the lab shows."""

    root: Path  # folder below which runs and reports are looked for
    published: Path | None  # folder of the versions that the service follows; None: nothing can be published
    service: Service
    log: Path | None = None  # the service's event log, for the live experiment; None: arms without numbers
    hosts: tuple[str, ...] = ()  # names by which the lab may be addressed, beside the local ones


def create_app(settings: LabSettings) -> Flask:
    """Make the app of a lab.

    There is no login: the lab is for the machine that it runs on. A page of another site can neither read it (its host
    name is not ours) nor post to it (browsers say where a form comes from).
    """
    app = Flask(__name__, static_folder=None)
    publisher = Publisher(settings.service, settings.published) if settings.published else None
    _guard(app, settings.hosts)
    _add_pages(app, settings, publisher)
    _add_runs(app, settings.root, publisher)
    _add_actions(app, settings, publisher)
    return app


def _guard(app: Flask, hosts: tuple[str, ...]) -> None:
    @app.before_request
    def refuse_strangers() -> None:
        if request.host.rsplit(":", 1)[0] not in (*_LOCAL, *hosts):
            abort(403, f"asked as {request.host}; start the lab with --host-name for other names than localhost")
        if request.method == "POST" and request.headers.get("Origin") != request.host_url.rstrip("/"):
            abort(403, "a form of another site")

    @app.after_request
    def restrict(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", f"{_POLICY}; form-action 'self'")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"  # without a referrer, forms have no origin either
        return response

    @app.errorhandler(UserError)
    def explain(error: UserError) -> tuple[str, int]:
        return _page("problem", title="That did not work", problem=str(error)), 409

    @app.errorhandler(HTTPException)
    def explain_http(error: HTTPException) -> tuple[str, int]:
        return _page("problem", title=error.name, problem=error.description or ""), error.code or 500


def _add_pages(app: Flask, settings: LabSettings, publisher: Publisher | None) -> None:
    root = settings.root

    @app.get("/")
    def overview() -> str:
        try:
            served, note = settings.service.ask("GET", "/experiments"), settings.service.url
        except LabError as error:
            served, note = None, str(error)
        job = publisher.job if publisher else None
        return _page(
            "overview",
            runs=find_runs(root),
            reports=find_reports(root),
            root=root,
            job=job,
            served=served,
            note=note,
        )

    @app.get("/<any('search-reports', reports):kind>/<path:name>")
    def report(kind: str, name: str) -> Response:
        folder = _find(root, AB_REPORT if kind == "reports" else RUN, name)
        if not os.path.lexists(folder / REPORT):
            abort(404, f"{name}: no report yet; a finished search has one, and python -m recsys.report makes it")
        # It is served as it was written, so that it can do nothing but be read.
        policy = {"Content-Security-Policy": f"sandbox; {_POLICY}"}
        return Response(read_page(root, folder), mimetype="text/html", headers=policy)


def _add_runs(app: Flask, root: Path, publisher: Publisher | None) -> None:
    @app.get("/runs/<path:name>")
    def run(name: str) -> str:
        with damage_named(name):
            found = _read_run(root, name)
            shown = view(found, request.args)
            return _page(
                "run",
                run=found,
                view=shown,
                figure=draw_leaderboard(found, shown.metric),
                note=read_note(found.folder),
                has_report=(found.folder / REPORT).exists(),
                can_publish=publisher is not None,
                job=publisher.job if publisher else None,
            )

    @app.get("/download/<any(csv, json):kind>/<path:name>")
    def download(kind: str, name: str) -> Response:
        with damage_named(name):
            rows = _read_run(root, name).rows
        if kind == "json":
            return Response(orjson.dumps(rows, option=orjson.OPT_INDENT_2), mimetype="application/json")
        content = io.BytesIO()
        pa.csv.write_csv(pa.Table.from_pylist([dict(row) for row in rows]), content)
        return Response(content.getvalue(), mimetype="text/csv")

    @app.get("/compare/<path:name>")
    def comparison(name: str) -> str:
        trials = list(dict.fromkeys(request.args.getlist("trial")))
        if len(trials) < 2:
            abort(400, f"two or more trials are compared, {len(trials)} were chosen")
        with damage_named(name):
            found = _read_run(root, name)
            return _page("compare", run=found, figure=draw_curves(found, trials), **compare(found, trials))


def _add_actions(app: Flask, settings: LabSettings, publisher: Publisher | None) -> None:
    service = settings.service

    @app.get("/live")
    def live_experiment() -> str:
        live = look(service, settings.log)
        return _page("live", live=live, figure=draw_effects(live))

    @app.route("/publish/<path:name>", methods=["GET", "POST"])
    def publish(name: str) -> BaseResponse | str:
        if publisher is None:
            abort(409, "nothing can be published: start the lab with --published")
        with damage_named(name):
            found = _read_run(settings.root, name)
            config, winner = read_run(open_workspace(found.folder))
        if request.method == "GET":
            served = service.ask("GET", "/experiments")
            return _page("publish", run=found, winner=winner, export=config.export, served=served, settings=settings)
        publisher.start(name, found.folder, config.export)
        return redirect(url_for("run", name=name), code=303)

    @app.route("/rollback", methods=["GET", "POST"])
    def roll_back() -> BaseResponse | str:
        if request.method == "GET":
            served = service.ask("GET", "/experiments")
            versions = read_versions(settings.published) if settings.published else []
            others = [version for version in versions if version.name != served["version"]]
            return _page("rollback", served=served, versions=others, reason=_why_no_rollback(settings, others))
        service.ask("POST", "/admin/rollback", {"version": request.form["version"]})
        return redirect(url_for("live_experiment"), code=303)

    @app.post("/note/<path:name>")
    def note(name: str) -> BaseResponse:
        folder = _find(settings.root, RUN, name)
        atomic_write_text(folder / NOTE, request.form.get("note", "").strip()[:_LONGEST_NOTE])
        return redirect(url_for("run", name=name), code=303)


def _why_no_rollback(settings: LabSettings, versions: Sequence[Version]) -> str:
    """Return why the service cannot be rolled back from here; empty if it can."""
    if settings.published is None:
        return "the lab does not know the versions: start it with --published"
    if settings.service.token is None:
        return "the service would refuse: start the lab with the service's BOTIFY_ADMIN_TOKEN in the environment"
    return "" if versions else f"{settings.published} has no other version"


def _find(root: Path, files: tuple[str, ...], name: str) -> Path:
    """Find a run or report by its name; only a folder that was found below the root can be named."""
    folder = find_folders(root, files).get(name)
    if folder is None:
        abort(404, f"no {'run' if files == RUN else 'report'} {name} below {root}")
    return folder


def _read_run(root: Path, name: str) -> Run:
    return read_run_in(root, _find(root, RUN, name), name)


def _page(template: str, **values: object) -> str:
    folder = Path(__file__).parent / "templates"
    return render(folder, f"{template}.html.jinja", link=url_for, when=_when, setting=_setting, **values)


def _setting(value: object) -> str:
    """Format a hyperparameter's value, which a baseline has none of."""
    return numbers.NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _when(moment: datetime | str) -> str:
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
