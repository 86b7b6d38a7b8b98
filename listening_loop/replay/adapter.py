"""Turn plays into requests of a service, and its answers into rankings.

An adapter is a YAML file of request templates, such as the files in `adapters/`, or an object with
the attribute and the methods of `Adapter`: the `adapter` of a Python file, or an entry point of
another package.
"""

import runpy
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import jinja2
import orjson
from pydantic import Field

from listening_loop.errors import LoopError
from looplib.config import Config, load_config

GROUP = "listening_loop.adapters"  # the group of entry points
_FOLDER = Path(__file__).with_name("adapters")
_Templates = tuple[
    Annotated[str, Field(pattern="^(GET|POST|PUT|PATCH|DELETE) /.*")], ...
]


class Play(NamedTuple):
    """A play, with all that a service may know of it."""

    user: Any  # id
    track: Any  # id
    time: float  # share that was heard, 0..1
    number: int  # the play's position in the replay
    session: Sequence[Any]  # ids of the session's latest tracks, this track last
    n: int  # tracks to ask for; the track just played is dropped from them
    is_last: bool  # it ends the session, so no ranking is needed


class Adapter(Config):
    """How a service is asked.

    A request is a Jinja template with the fields of `Play`: method and path are its first line, the
    body follows. `quote` escapes a part of a path, `tojson` writes a value in a body of JSON.
    """

    ready: str = "/"
    """path that answers, with a status below 500, once the service is ready"""
    play: _Templates
    """requests of a play, in order; the last answer has the ranking"""
    last: _Templates | None = None
    """requests of a session's last play; by default as for the others"""
    ranking: str = ""
    """JSON pointer (RFC 6901) to the list in the answer"""
    id: str = ""
    """JSON pointer to the id in each entry of the list"""

    @cached_property
    def _compiled(self) -> list[list[jinja2.Template]]:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            autoescape=jinja2.select_autoescape(default_for_string=False),
        )
        environment.filters["quote"] = lambda value: quote(str(value), safe="")
        last = self.play if self.last is None else self.last
        return [[*map(environment.from_string, texts)] for texts in (self.play, last)]

    def requests(self, play: Play) -> list[str]:
        """Make the requests of a play, in order: a line of method and path, then the body."""
        values = play._asdict()
        return [request.render(values) for request in self._compiled[play.is_last]]

    def read(self, content: bytes) -> list[Any]:
        """Read the ids of tracks, best first, from an answer."""
        entries = follow(self.ranking, orjson.loads(content))
        return [follow(self.id, entry) for entry in entries]


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
    shipped = {file.stem: file for file in sorted(_FOLDER.glob("*.yaml"))}
    file = shipped.get(name, Path(name))
    if file.suffix in (".yaml", ".yml"):
        return load_config(Adapter, file)
    try:
        loaded: Adapter | None = None
        if name in points:
            loaded = points[name].load()
        elif file.suffix == ".py":
            loaded = runpy.run_path(name)["adapter"]
    except Exception as error:  # its module may raise any kind
        raise LoopError(f"--adapter {name}: cannot be loaded ({error!r})") from error
    if loaded is None:
        names = f"{', '.join([*shipped, *points])}, or a .yaml or .py file"
        raise LoopError(f"--adapter {name}: allowed are {names}")
    return loaded
