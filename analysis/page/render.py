"""Render Jinja templates to HTML pages."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from analysis.page import numbers

_TEMPLATES = Path(__file__).with_name("templates")


def render(folders: Sequence[Path], template: str, **values: object) -> str:
    """Render a template; every text among the values is escaped.

    Args:
        folders: Folders of templates, in addition to the templates of this package.
        template: File name of the template, which extends `base.html.jinja`.
        values: Variables of the template; an undefined variable is an error. The functions of
            `analysis.page.numbers` are available as `n`.
    """
    environment = _environment(*folders)
    return environment.get_template(template).render(**values)


def _environment(*folders: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=jinja2.select_autoescape(["html.jinja"]),  # of pages
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["n"] = numbers
    return environment
