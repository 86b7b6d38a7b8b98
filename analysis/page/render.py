"""Fill templates in."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from analysis.page import numbers

_TEMPLATES = Path(__file__).with_name("templates")


def render(folders: Sequence[Path], template: str, **values: object) -> str:
    """Fill a template in; every text of the values is escaped.

    Args:
        folders: Folders of templates, beside the templates of this package.
        template: Name of its file; it extends `base.html.jinja`.
        values: What the template uses beside `n`, the functions of `analysis.page.numbers`; a
            missing one is an error.
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
