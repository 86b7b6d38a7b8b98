"""Pictures of what the demos left: `python -m tests.e2e.screenshots docs`.

`--all` takes every page at two widths, light and dark, and on paper, to be looked at before a
release.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from playwright.sync_api import sync_playwright

from looplib.cli import make_app, run
from tests.faults.served import Published, serve
from tests.programs import find

PROG = "python -m tests.e2e.screenshots"
WIDTHS = {"phone": 390, "desk": 1440}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FIRST_REPORT = Path("out/first/days/1/report/report.html")
# of README and docs: the picture, the page and its visible height
README = (("report", "first", 800), ("lab", "lab-live", 920))

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
    with pages_of(demo) as pages, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find("chromium"), args=["--no-sandbox"]
        )
        if not every:
            for name, address, height in README:
                page = browser.new_page(viewport={"width": 1440, "height": height})
                page.goto(pages[address])
                page.screenshot(path=out / f"{name}.png")
            return
        for (name, address), (kind, width), scheme in product(
            pages.items(), WIDTHS.items(), SCHEMES
        ):
            page = browser.new_page(
                viewport={"width": width, "height": 1000}, color_scheme=scheme
            )
            page.goto(address)
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                typer.echo(f"{name}: {needed} px wide in a window of {width}")
            page.screenshot(path=out / f"{name}-{kind}-{scheme}.png", full_page=True)
            page.pdf(path=out / f"{name}.pdf", format="A4")
            page.close()


@contextmanager
def pages_of(demo: Path) -> Iterator[dict[str, str]]:
    """The addresses of the pages, by name, while a service and a lab run."""
    days = (report.parents[1] for report in demo.glob("days/*/report/report.html"))
    day = max(days, key=lambda folder: int(folder.name))
    config = yaml.safe_load(Path("configs/botify.yaml").read_text(encoding="utf-8"))
    del config["log_dir"]  # what it logs goes elsewhere
    config["catalogue"] = str(demo / "world" / "tracks.json")
    published = Published(demo / "published")
    config["recommendations"] = str(published.recommendations)
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(published, Path(folder) / "log", **config) as service,
    ):
        address = f"http://localhost:{service.port}"
        argv = [sys.executable, "-m", "listening_loop.command", "lab", "--port", "0"]
        argv += ["--root", str(demo), "--log", str(day / "log"), "--service", address]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            lab = process.stdout.readline().decode().partition("/  ")[0]
            assert lab.startswith("http://"), "the lab has not started"
            yield {
                "first": FIRST_REPORT.resolve().as_uri(),
                "report": (day / "report" / "report.html").resolve().as_uri(),
                "search": (day / "run" / "report.html").resolve().as_uri(),
                "lab": lab,
                "lab-run": f"{lab}/runs/days/{day.name}/run",
                "lab-live": f"{lab}/live",
                "lab-problem": f"{lab}/runs/none",
                "service": f"{address}/docs",
            }
            process.terminate()


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
