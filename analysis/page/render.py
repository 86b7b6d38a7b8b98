"""Templates to one HTML text."""

from pathlib import Path

import jinja2

_SHARED = Path(__file__).parent / "templates"


def render(folder: Path, template: str, **values: object) -> str:
    """Fills a template in; every text of the values is escaped.

    Args:
        folder: Where the template is; those of this package are found as well.
        template: Name of its file; it extends `base.html.jinja`.
        values: What the template speaks of; one that it misses is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
