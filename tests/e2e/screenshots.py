"""Pictures of what the demos left: `python -m tests.e2e.screenshots docs`.

`--all` takes every page at two widths, light and dark, and on paper, to be looked at before a
release.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from playwright.sync_api import Browser, Page, sync_playwright

from listening_loop.processes import PROGRAM, command
from looplib.cli import make_app, run
from tests.faults.served import Published, Served
from tests.programs import find

PROG = "python -m tests.e2e.screenshots"
WIDTHS = {"phone": 390, "desk": 1440}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TIMEOUT_MS = 60_000
FIRST_REPORT = Path("out/first/days/1/report/report.html")

app = make_app("Takes pictures of the reports, the lab and the service's page.")


@app.command(epilog="Example: python -m tests.e2e.screenshots docs --demo out/demo")
def main(
    out: Annotated[Path, typer.Argument(help="Folder of the pictures.")],
    demo: Annotated[Path, typer.Option(help="What the demo left.")] = Path("out/demo"),
    every: Annotated[
        bool, typer.Option("--all", help="Every page, at every width, light and dark.")
    ] = False,
) -> None:
    """Take them."""
    out.mkdir(parents=True, exist_ok=True)
    program = find("chromium")
    with pages_of(demo) as pages, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=TIMEOUT_MS
        )
        if every:
            take_all(browser, pages, out)
        else:
            take_readme(browser, pages, out)
        browser.close()


@contextmanager
def pages_of(demo: Path) -> Iterator[dict[str, str]]:
    """The addresses of the pages, by name, while a service and a lab run."""
    reports = (demo / "days").glob("*/report/report.html")
    day = max(
        (report.parents[1] for report in reports), key=lambda folder: int(folder.name)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        _service(demo, Path(folder)) as service,
    ):
        lab_command = command(
            "The lab",
            "lab",
            root=demo,
            log=day / "log",
            port=0,
            service=f"http://localhost:{service.port}",
        )
        argv = [sys.executable, "-m", PROGRAM, *lab_command.words]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as lab:
            try:
                assert lab.stdout is not None
                address = lab.stdout.readline().decode().partition("/  ")[0]
                assert address.startswith("http://"), "the lab has not started"
                of_run = f"days/{day.name}/run"
                yield {
                    "report": (day / "report" / "report.html").resolve().as_uri(),
                    "search": (day / "run" / "report.html").resolve().as_uri(),
                    "lab": address,
                    "lab-run": f"{address}/runs/{of_run}",
                    "lab-live": f"{address}/live",
                    "lab-problem": f"{address}/runs/none",
                    "service": f"http://localhost:{service.port}/docs",
                }
            finally:
                lab.terminate()


@contextmanager
def _service(demo: Path, folder: Path) -> Iterator[Served]:
    """The service as configured for the demo; what it logs goes elsewhere."""
    config = yaml.safe_load(Path("configs/botify.yaml").read_text(encoding="utf-8"))
    config["catalogue"] = str(demo / "world" / "tracks.json")
    config["recommendations"] = str(
        demo / "published" / "current" / "recommendations.jsonl"
    )
    del config["log_dir"]
    served = Served(Published(demo / "published"), folder / "log", **config)
    try:
        yield served.start()
    finally:
        served.kill()


def take_readme(browser: Browser, pages: dict[str, str], out: Path) -> None:
    """The tops of the A/B report of `listening-loop demo` and of the live experiment."""
    first = FIRST_REPORT.resolve().as_uri()
    for name, address, height in (
        ("report", first, 800),
        ("lab", pages["lab-live"], 920),
    ):
        with _opened(browser, address, 1440, "light") as page:
            page.screenshot(
                path=out / f"{name}.png",
                clip={"x": 0, "y": 0, "width": 1440, "height": height},
            )


def take_all(browser: Browser, pages: dict[str, str], out: Path) -> None:
    """Each page whole; one that is wider than its window is named."""
    for name, address in pages.items():
        for width_name, width in WIDTHS.items():
            for scheme in SCHEMES:
                with _opened(browser, address, width, scheme) as page:
                    found = page.evaluate("document.documentElement.scrollWidth")
                    if found > width:
                        typer.echo(f"{name}: {found} px wide in a window of {width}")
                    page.screenshot(
                        path=out / f"{name}-{width_name}-{scheme}.png", full_page=True
                    )
    for name in ("report", "search"):
        with _opened(browser, pages[name], 1440, "light") as page:
            page.pdf(path=out / f"{name}.pdf", format="A4")


@contextmanager
def _opened(
    browser: Browser, address: str, width: int, scheme: Literal["light", "dark"]
) -> Iterator[Page]:
    page = browser.new_page(
        viewport={"width": width, "height": 1000}, color_scheme=scheme
    )
    page.goto(address, timeout=TIMEOUT_MS)
    yield page
    page.close()


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
