"""The lab's pages: a function of its settings."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import Flask, Response, abort, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from analysis.page import numbers
from analysis.page.render import render
from looplib.errors import UserError
from recsys.lab.comparison import compare
from recsys.lab.live import Live, draw_effects
from recsys.lab.publishing import Publisher, Service
from recsys.lab.runs import PAGE, find_reports, find_run, find_runs
from recsys.report.figures import draw_curves, draw_leaderboard
from recsys.report.runs import Run
from recsys.runs.folder import REPORT, read_run
from recsys.workspace import open_workspace

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
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
    live = Live(settings.service, settings.log)
    _guard(app, settings.hosts)
    _add_run_pages(app, settings.root, publisher)
    _add_report_pages(app, settings.root)
    _add_live_pages(app, settings, publisher, live)
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


def _add_run_pages(app: Flask, root: Path, publisher: Publisher | None) -> None:
    @app.get("/runs/<path:name>")
    def run(name: str) -> str:
        found = _get_run(root, name)
        return _page(
            "run",
            run=found,
            figure=draw_leaderboard(found),
            has_report=(found.folder / REPORT).exists(),
            can_publish=publisher is not None,
            job=publisher.job if publisher else None,
        )

    @app.get("/compare/<path:name>")
    def comparison(name: str) -> str:
        found = _get_run(root, name)
        trials = request.args.getlist("trial")
        if len(trials) != 2:
            abort(400, f"two trials are compared, {len(trials)} were chosen")
        return _page("compare", run=found, compared=compare(found, *trials), figure=draw_curves(found, trials))


def _add_report_pages(app: Flask, root: Path) -> None:
    @app.get("/search-reports/<path:name>")
    def search_report(name: str) -> Response:
        page = _get_run(root, name).folder / REPORT
        if not page.exists():
            abort(404, f"{name}: no report yet; a finished search has one, and python -m recsys.report makes it")
        return _report_page(page)

    @app.get("/reports/<path:name>")
    def report(name: str) -> Response:
        found = next((report for report in find_reports(root) if report.name == name), None)
        if found is None:
            abort(404, f"no report {name} below {root}")
        return _report_page(found.folder / PAGE)


def _add_live_pages(app: Flask, settings: LabSettings, publisher: Publisher | None, live: Live) -> None:
    @app.get("/")
    def overview() -> str:
        root, job = settings.root, publisher.job if publisher else None
        return _page("overview", runs=find_runs(root), reports=find_reports(root), root=root, job=job, live=live.look())

    @app.get("/live")
    def live_experiment() -> str:
        look = live.look()
        return _page("live", live=look, figure=draw_effects(look), can_roll_back=settings.service.token is not None)

    @app.post("/publish/<path:name>")
    def publish(name: str) -> BaseResponse:
        if publisher is None:
            abort(409, "nothing can be published: start the lab with --published")
        found = _get_run(settings.root, name)
        config, _ = read_run(open_workspace(found.folder))
        publisher.start(name, found.folder, config.export)
        live.look_again()
        return redirect(url_for("run", name=name), code=303)

    @app.post("/rollback")
    def roll_back() -> BaseResponse:
        settings.service.roll_back()
        live.look_again()
        return redirect(url_for("live_experiment"), code=303)


def _get_run(root: Path, name: str) -> Run:
    found = find_run(root, name)
    if found is None:
        abort(404, f"no run {name} below {root}")
    return found


def _report_page(file: Path) -> Response:
    """Serve a report as it was written, so that it can do nothing but be read."""
    return Response(file.read_bytes(), mimetype="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})


def _page(template: str, **values: object) -> str:
    folder = Path(__file__).parent / "templates"
    return render(folder, f"{template}.html.jinja", link=url_for, when=_when, setting=_setting, **values)


def _setting(value: object) -> str:
    """Format a hyperparameter's value, which a baseline has none of."""
    return numbers.NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _when(moment: datetime | str) -> str:
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
