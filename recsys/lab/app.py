"""The lab's pages: a function of its settings."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from recsys.lab.live import draw_effects, look
from recsys.lab.publishing import Publisher, Service, Version, read_versions
from recsys.lab.view import view
from recsys.report.figures import draw_curves, draw_leaderboard
from recsys.report.runs import Run, read_folder
from recsys.runs.folder import CONFIG, LEDGER, REPORT, read_run
from recsys.workspace import open_workspace

_RUN, _AB_REPORT = (LEDGER, CONFIG), ("report.json", REPORT)  # the files by which a folder is found
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")
NOTE = "note.txt"  # in the folder of a run
_LONGEST_NOTE = 2000  # characters
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
# A report is served as it was written, so that it can do nothing but be read.
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


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
    _add_actions(app, settings, publisher)
    return app


def _guard(app: Flask, hosts: tuple[str, ...]) -> None:
    @app.before_request
    def refuse_strangers() -> None:
        if request.host.rsplit(":", 1)[0] not in (*_LOCAL, *hosts):
            abort(403, f"asked as {request.host}; start the lab with --host-name for other names than localhost")
        if request.method == "POST" and request.headers.get("Origin") != request.host_url.rstrip("/"):
            abort(403, "a form of another site")

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
            runs=[(run, read_note(run.folder)) for run in _find_runs(root)],
            reports=_find_reports(root),
            root=root,
            job=job,
            served=served,
            note=note,
        )

    @app.get("/runs/<path:name>")
    def run(name: str) -> str:
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
        rows = _read_run(root, name).rows
        if kind == "json":
            return Response(orjson.dumps(rows, option=orjson.OPT_INDENT_2), mimetype="application/json")
        content = io.BytesIO()
        pa.csv.write_csv(pa.Table.from_pylist([dict(row) for row in rows]), content)
        return Response(content.getvalue(), mimetype="text/csv")

    @app.get("/compare/<path:name>")
    def comparison(name: str) -> str:
        found = _read_run(root, name)
        trials = list(dict.fromkeys(request.args.getlist("trial")))
        if len(trials) < 2:
            abort(400, f"two or more trials are compared, {len(trials)} were chosen")
        return _page("compare", run=found, figure=draw_curves(found, trials), **compare(found, trials))

    @app.get("/<any('search-reports', reports):kind>/<path:name>")
    def report(kind: str, name: str) -> Response:
        page = _find(root, _AB_REPORT if kind == "reports" else _RUN, name) / REPORT
        if not page.exists():
            abort(404, f"{name}: no report yet; a finished search has one, and python -m recsys.report makes it")
        return Response(page.read_bytes(), mimetype="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


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
        folder = _find(settings.root, _RUN, name)
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
    folder = _find_folders(root, files).get(name)
    if folder is None:
        abort(404, f"no {'run' if files == _RUN else 'report'} {name} below {root}")
    return folder


def _find_folders(root: Path, files: tuple[str, ...]) -> dict[str, Path]:
    """Find the folders with certain files by name; hidden ones are left out, and those that hold many other files."""
    found = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        if set(files) <= set(names):
            found[str(Path(folder).relative_to(root))] = Path(folder)
    return found


def _find_runs(root: Path) -> list[Run]:
    """Find all runs below a folder, the newest first."""
    runs = (read_folder(open_workspace(folder), name) for name, folder in _find_folders(root, _RUN).items())
    return sorted(runs, key=lambda run: run.changed, reverse=True)


def _find_reports(root: Path) -> list[dict[str, Any]]:
    """Find all A/B reports below a folder, the newest first: name, moment of the last change, content of the JSON."""
    reports = []
    for name, folder in _find_folders(root, _AB_REPORT).items():
        file = folder / _AB_REPORT[0]
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        reports.append({"name": name, "changed": changed, "content": orjson.loads(file.read_bytes())})
    return sorted(reports, key=lambda report: report["changed"], reverse=True)


def read_note(folder: Path) -> str:
    """Read what somebody has written about a run; empty if nobody has."""
    file = folder / NOTE
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _read_run(root: Path, name: str) -> Run:
    return read_folder(open_workspace(_find(root, _RUN, name)), name)


def _page(template: str, **values: object) -> str:
    folder = Path(__file__).parent / "templates"
    return render(folder, f"{template}.html.jinja", link=url_for, when=_when, setting=_setting, **values)


def _setting(value: object) -> str:
    """Format a hyperparameter's value, which a baseline has none of."""
    return numbers.NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _when(moment: datetime | str) -> str:
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
