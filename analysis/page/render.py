"""Fill templates in."""

from pathlib import Path

import jinja2

from analysis.page import numbers

_TEMPLATES = Path(__file__).with_name("templates")


def render(folder: Path, template: str, **values: object) -> str:
    """Fill a template in; every text of the values is escaped.

    Args:
        folder: Where the template is; the ones of this package are found as well.
        template: Name of its file; it extends `base.html.jinja`.
        values: What the template uses beside `n`, the functions of `analysis.page.numbers`; a
            missing one is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(n=numbers, **values)
