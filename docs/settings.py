"""Render the tables of all settings from the configuration classes, as the site is built."""

import inspect
import re
import typing
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from analysis.ab.config import AbConfig
from botify.settings import ServiceSettings
from listening_loop.loop import LoopConfig
from looplib.experiments import Experiment
from recsys.config import SearchConfig
from recsys.models.registry import searched_models
from sim.config import SimulateConfig
from sim.worlds.config import WorldConfig

PARTS = {
    "Search": (
        SearchConfig,
        "`listening-loop search --config FILE`, such as `configs/demo.yaml`",
    ),
    "A/B report": (
        AbConfig,
        "`listening-loop ab LOG --config FILE`, such as `configs/ab.yaml`",
    ),
    "Experiment": (
        Experiment,
        "one file for the service, `power` and `ab`: [the experiment's file](experiments.md)",
    ),
    "Service": (
        ServiceSettings,
        "`listening-loop serve --config FILE`; each key is also a variable `BOTIFY_…`",
    ),
    "World": (
        WorldConfig,
        "`listening-loop world --config FILE`, such as `configs/world/demo.yaml`",
    ),
    "Simulated sessions": (SimulateConfig, "`listening-loop simulate --config FILE`"),
    "Loop": (
        LoopConfig,
        "`listening-loop demo --config FILE`, such as `configs/loop/demo.yaml`",
    ),
}
_FIELD = re.compile(r"^    (\w+): ")


def render(part: str) -> str:
    """Render the table of one part's settings in Markdown.

    Args:
        part: A key of `PARTS`.
    """
    model, command = PARTS[part]
    rows = [
        f"| `{key}` | {default} | {meaning} |"
        for key, default, meaning in _settings(model)
    ]
    table = ["| setting | default | meaning |", "|---|---|---|", *rows]
    return "\n".join([f"{command}: {_first_line(model)}", "", *table])


def _settings(
    model: type[BaseModel], prefix: str = "", section_default: object = None
) -> Iterator[tuple[str, str, str]]:
    """Yield key, default and meaning of each setting, those of sections within it by dotted key."""
    comments: dict[str, str] = {}
    for base in reversed(model.mro()[: model.mro().index(BaseModel)]):
        comments |= _comments(base)
    for name, field in model.model_fields.items():
        key, section = f"{prefix}{name}", _section(field.annotation)
        meaning = _cell(
            "; ".join(
                filter(
                    None,
                    (
                        field.description or comments.get(name),
                        _choices(field.annotation),
                    ),
                )
            )
        )
        meaning = re.sub("^[A-Z](?=[a-z ])", lambda first: first[0].lower(), meaning)
        is_list = typing.get_origin(field.annotation) in (tuple, dict)
        default = getattr(
            section_default, name, field.get_default(call_default_factory=True)
        )
        if model is SearchConfig and name == "models":
            yield key, "`{als: {}}`", meaning
            for kind, tried in searched_models().items():
                yield from _settings(tried.config_type(), f"{key}.{kind}.")
        elif section is None or is_list:
            yield key, _default(default), meaning
        if section is not None:
            yield from _settings(
                section,
                f"{key}[]." if is_list else f"{key}.",
                None if is_list else default,
            )


def _section(annotation: object) -> type[BaseModel] | None:
    """Return the model of a setting that is a section, or a list of some."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    sections = map(_section, typing.get_args(annotation))
    return next(filter(None, sections), None)


def _choices(annotation: object) -> str:
    """Return the texts that a setting may be, where there are a few."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal and len(arguments) > 1:
        return f"one of {', '.join(map(str, arguments))}"
    return next(filter(None, map(_choices, filter(typing.get_origin, arguments))), "")


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        return _cell(_plain(value)) or "none"
    return "none" if value in (None, {}, "") else f"`{_cell(_plain(value))}`"


def _plain(value: object) -> str:
    if isinstance(value, BaseModel):
        return " ".join(_plain(found) for _, found in value if found)
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return f"{value}".lower() if isinstance(value, bool) else f"{value}"


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """Collect what the comments beside or above the fields of a model say, by field."""
    found: dict[str, str] = {}
    above: list[str] = []
    name = ""  # of the field whose lines these are
    for line in inspect.getsource(model).splitlines():
        if (text := line.strip()).startswith("# "):
            above.append(text[2:])
            continue
        if field := _FIELD.match(line):
            name = field[1]
        elif not line.startswith((" " * 8, "    )", "    ]")):
            name = ""
        beside = line.partition("  # ")[2]
        if name and (above or beside):
            found[name] = " ".join([found.get(name, ""), *above, beside]).strip()
        above = []
    return found


def _first_line(model: type[BaseModel]) -> str:
    line = inspect.cleandoc(model.__doc__ or "").splitlines()[0]
    return line[0].lower() + line[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
