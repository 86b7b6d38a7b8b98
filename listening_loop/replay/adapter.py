"""Turn plays into requests of a service, and its answers into rankings.

An adapter is a YAML file of request templates, like those in `adapters/`, or an object with the
methods of `Adapter`: the `adapter` of a Python file, or an entry point of other packages.
"""

import runpy
from collections.abc import Sequence
from functools import cached_property, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote

import jinja2
import orjson

from listening_loop.errors import LoopError
from looplib.config import Config, load_config

GROUP = "listening_loop.adapters"  # the group of entry points
_FOLDER = Path(__file__).with_name("adapters")


class Play(NamedTuple):
    """A play, with all that a service may know of it."""

    user: Any  # id
    track: Any  # id
    time: float  # share that was heard, 0..1
    number: int  # the play's position in the replay
    session: Sequence[Any]  # ids of the session's latest tracks, this track last
    n: int  # tracks to ask for; the track just played is dropped from them
    is_last: bool  # it ends the session, so no ranking is needed


Request = tuple[str, str, str]
"""Method, path and body of a request."""


class Adapter(Protocol):
    """How a service is asked."""

    @property
    def ready(self) -> str:
        """The path that answers once the service is ready."""

    def requests(self, play: Play) -> list[Request]:
        """Make the requests of a play, in order; the last answer has the ranking."""

    def read(self, content: bytes) -> list[Any]:
        """Read the ids of tracks, best first, from an answer."""


class RequestTemplate(Config):
    """A request, of which path and body are Jinja templates with the fields of `Play`.

    `quote` escapes a part of a path, `tojson` writes a value in a body of JSON.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str
    body: str = ""


class TemplateAdapter(Config):
    """An adapter from a YAML file."""

    ready: str = "/"
    """path that answers, with a status below 500, once the service is ready"""
    play: tuple[RequestTemplate, ...]
    """requests of a play, in order; the last answer has the ranking"""
    last: tuple[RequestTemplate, ...] | None = None
    """requests of a session's last play; by default as for the others"""
    ranking: str = ""
    """JSON pointer (RFC 6901) to the list in the answer"""
    id: str = ""
    """JSON pointer to the id in each entry of the list"""

    @cached_property
    def _compiled(self) -> list[list[tuple[str, jinja2.Template, jinja2.Template]]]:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            autoescape=jinja2.select_autoescape(default_for_string=False),
        )
        environment.filters["quote"] = lambda value: quote(str(value), safe="")
        make = environment.from_string
        return [
            [(row.method, make(row.path), make(row.body)) for row in rows]
            for rows in (self.play, self.play if self.last is None else self.last)
        ]

    def requests(self, play: Play) -> list[Request]:
        """Fill the templates in."""
        values = play._asdict()
        return [
            (method, path.render(values), body.render(values))
            for method, path, body in self._compiled[play.is_last]
        ]

    def read(self, content: bytes) -> list[Any]:
        """Follow the pointers."""
        entries = follow(self.ranking, orjson.loads(content))
        return [*map(partial(follow, self.id), entries)] if self.id else entries


def follow(pointer: str, document: Any) -> Any:  # noqa: ANN401  any JSON
    """Follow a JSON pointer.

    >>> follow("/items/1/Id", {"items": [{"Id": "a"}, {"Id": "b"}]})
    'b'
    """
    for key in pointer.split("/")[1:]:
        name = key.replace("~1", "/").replace("~0", "~")
        document = document[int(name) if isinstance(document, list) else name]
    return document


def load_adapter(name: str) -> Adapter:
    """Load an adapter by its name, or from a file.

    Raises:
        LoopError: There is none of this name, or its file cannot be read.
        ConfigError: Its YAML is no adapter.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    ours = {file.stem: file for file in sorted(_FOLDER.glob("*.yaml"))}
    file = ours.get(name, Path(name))
    try:
        loaded: Adapter | None = None
        if name in points:
            loaded = points[name].load()
        elif file.suffix == ".py":
            loaded = runpy.run_path(name)["adapter"]
    except Exception as error:  # its module may raise any kind
        raise LoopError(f"--adapter {name}: cannot be loaded ({error!r})") from error
    if loaded:
        return loaded
    if file.suffix not in (".yaml", ".yml"):
        names = ", ".join([*ours, *points])
        raise LoopError(
            f"--adapter {name}: allowed are {names}, or a .yaml or .py file"
        )
    return load_config(TemplateAdapter, file)
