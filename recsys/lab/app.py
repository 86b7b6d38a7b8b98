"""The lab's pages: a function of its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import Flask, Response, abort, redirect, request, url_for
from werkzeug.exceptions import HTTPException

from analysis.page import numbers
from analysis.page.render import render
from common.errors import UserError
from recsys.lab.charts import draw_curves, draw_leaderboard
from recsys.lab.comparison import compare
from recsys.lab.live import Live
from recsys.lab.publishing import Publisher, Service
from recsys.lab.runs import find_report, find_reports, find_run, find_runs
from recsys.run import read_run

TEMPLATES = Path(__file__).parent / "templates"
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class LabSettings:
    """What the lab shows.

    Attributes:
        root: Folder below which runs and reports are looked for.
        published: Folder of the versions that the service follows; None: nothing can be published.
        service: The service.
        log: The service's event log, for the live experiment; None: arms without figures.
        hosts: Names under which the lab may be asked, beside the local ones.
    """

    root: Path
    published: Path | None
    service: Service
    log: Path | None = None
    hosts: tuple[str, ...] = ()


def create_app(settings: LabSettings) -> Flask:
    """The pages of a lab.

    There is no login: the lab is for the machine that it runs on. A page of another site can neither read it (its host
    name is not ours) nor post to it (browsers say where a form comes from).
    """
    app = Flask(__name__, static_folder=None)
    publisher = Publisher(settings.service, settings.published) if settings.published else None
    live = Live(settings.service, settings.log)

    @app.before_request
    def refuse_strangers() -> None:
        if request.host.rsplit(":", 1)[0] not in (*_LOCAL, *settings.hosts):
            abort(403, f"asked as {request.host}; start the lab with --host-name for other names than localhost")
        if request.method == "POST" and request.headers.get("Origin") != request.host_url.rstrip("/"):
            abort(403, "a form of another site")

    @app.get("/")
    def overview() -> str:
        return _page(
            "overview",
            runs=find_runs(settings.root),
            reports=find_reports(settings.root),
            root=settings.root,
            job=publisher.job if publisher else None,
            live=live.look(),
        )

    @app.get("/runs/<path:name>")
    def run(name: str) -> str:
        found = find_run(settings.root, name)
        return _page(
            "run",
            run=found,
            chart=draw_leaderboard(found),
            can_publish=publisher is not None and found.is_finished,
            job=publisher.job if publisher else None,
        )

    @app.get("/compare/<path:name>")
    def comparison(name: str) -> str:
        found = find_run(settings.root, name)
        trials = request.args.getlist("trial")
        if len(trials) != 2:
            abort(400, f"two trials are compared, {len(trials)} were chosen")
        compared = compare(found, *trials)
        return _page("compare", run=found, compared=compared, chart=draw_curves(found, trials))

    @app.get("/reports/<path:name>")
    def report(name: str) -> Response:
        content = find_report(settings.root, name).page.read_bytes()
        return Response(content, mimetype="text/html", headers={"Content-Security-Policy": _REPORT_POLICY})

    @app.get("/live")
    def live_experiment() -> str:
        return _page("live", live=live.look(), can_roll_back=settings.service.token is not None)

    @app.post("/publish/<path:name>")
    def publish(name: str) -> object:
        if publisher is None:
            abort(409, "nothing can be published: start the lab with --published")
        found = find_run(settings.root, name)
        config, _ = read_run(found.folder)
        publisher.start(name, found.folder, config.export)
        return redirect(url_for("run", name=name), code=303)

    @app.post("/rollback")
    def roll_back() -> object:
        settings.service.roll_back()
        live.forget()
        return redirect(url_for("live_experiment"), code=303)

    @app.errorhandler(UserError)
    def explain(error: UserError) -> tuple[str, int]:
        return _page("problem", title="That did not work", problem=str(error)), 404 if "no " in str(error)[:3] else 409

    @app.errorhandler(HTTPException)
    def explain_http(error: HTTPException) -> tuple[str, int]:
        return _page("problem", title=error.name, problem=error.description or ""), error.code or 500

    return app


def _page(template: str, **values: object) -> str:
    helpers: dict[str, Callable[..., str]] = {"link": url_for, "when": _when}
    return render(TEMPLATES, f"{template}.html.jinja", n=numbers, **helpers, **values)


def _when(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"
