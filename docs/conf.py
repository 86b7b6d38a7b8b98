"""The documentation site, by Sphinx: `tox run -e docs`. Its pages read as well on a code host."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path

import typer
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))
from settings import render as render_settings

from botify.metrics import Metrics
from listening_loop.command import PROG, STEPS

project = "listening-loop"
author = "the listening-loop contributors"
version = release = version_of(project)

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"listening-loop {version}"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
nb_execution_mode = "off"  # the notebooks hold their results; a test runs them
smartquotes = False  # "--help" stays as it is typed
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"


def render_command(name: str) -> str:
    """Render the `--help` of a command in Markdown."""
    app = import_module(STEPS[name][0]).app
    command = typer.main.get_command(app)
    command.help = app.info.help
    context = typer.Context(command, info_name=f"{PROG} {name}", max_content_width=90)
    return f"```text\n{command.get_help(context)}\n```"


def render_service_metrics(_: str) -> str:
    """Render the names and meanings of the service's Prometheus metrics in Markdown."""
    lines = Metrics().text().decode().splitlines()
    described = [line.split(" ", 3)[2:] for line in lines if line.startswith("# HELP")]
    rows = [
        f"| `{name}` | {meaning} |"
        for name, meaning in described
        if not name.endswith("_created")
    ]
    return "\n".join(["| metric | meaning |", "|---|---|", *rows])


def make_directive(render: Callable[[str], str]) -> type[SphinxDirective]:
    """Make a directive that shows the Markdown rendered for its argument."""

    class Rendered(SphinxDirective):
        required_arguments = 1
        final_argument_whitespace = True

        def run(self) -> list[Node]:
            return self.parse_text_to_nodes(render(self.arguments[0]))

    return Rendered


def setup(app: Sphinx) -> None:
    """Add the directives of what is generated as the site is built."""
    app.add_directive("settings", make_directive(render_settings))
    app.add_directive("command", make_directive(render_command))
    app.add_directive("metrics", make_directive(render_service_metrics))
