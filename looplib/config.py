"""YAML configuration: files and `key=value` overrides in, frozen pydantic models out."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import yaml
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from looplib.errors import ConfigError

# Kinds of numbers that sections share.
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]


class Config(BaseModel):
    """Base of every configuration section: immutable, unknown keys refused, numbers finite."""

    # Keys that were removed, and what replaces each: named to a user who still sets them.
    gone: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    def to_yaml(self) -> str:
        """Return the effective configuration as YAML, defaults included."""
        document = self.model_dump(mode="json")
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


ConfigT = TypeVar("ConfigT", bound=Config)


def load_config(
    model: type[ConfigT],
    path: Path | None = None,
    overrides: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
) -> ConfigT:
    """Read a configuration from a YAML file, or the defaults alone.

    Overrides are texts `dotted.key=value`, the value in YAML; later ones win, and all win over the
    file. Options are values by dotted key, None where not given, and win over both: the option of a
    command is named by the last word.

    Raises:
        ConfigError: The file cannot be read, a key is unknown (the nearest known one is named), or
            a value is not allowed; the message blames the file, the override or the option.
    """
    document = _read_yaml(path) if path else {}
    changes = [(key, value, f"--set {key}") for key, value in map(_parse, overrides)]
    for key, value in (options or {}).items():
        if value is not None:
            changes.append((key, value, f"--{key.rpartition('.')[2]}"))
    for key, value, source in changes:
        set_value(document, key, value, source)
    sources = {key: source for key, _, source in changes}
    faults: dict[str, list[str]] = {}
    for key, text in _faults(model, document):
        source = _find_source(key, sources) or str(path or "the configuration")
        text = text.removeprefix(f"{source.removeprefix('--set ')}: ")
        faults.setdefault(source, []).append(text)
    if faults:
        found = (f"{source}: {'; '.join(texts)}" for source, texts in faults.items())
        raise ConfigError("; ".join(found))
    return model.model_validate(document)


def parse_config(
    model: type[ConfigT], document: dict[str, Any], source: str
) -> ConfigT:
    """Check a document against a section; `source` is what error messages call it.

    Raises:
        ConfigError: A key is unknown or a value is not allowed.
    """
    faults = _faults(model, document)
    if faults:
        raise ConfigError(f"{source}: {'; '.join(text for _, text in faults)}")
    return model.model_validate(document)


def dump_config(config: Config) -> str:
    """Return the effective configuration as YAML, defaults included."""
    return config.to_yaml()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML ({reason})") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        found = type(document).__name__
        raise ConfigError(f"{path}: a mapping of keys is expected, found {found}")
    return document


def _parse(override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            f"--set {override}: expected key=value, such as search.sweeps=10"
        )
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--set {key}: the value is not YAML ({reason})") from None


def set_value(document: dict[str, Any], key: str, value: Any, source: str) -> None:  # noqa: ANN401
    """Set the value of a dotted key; sections above it are made.

    Raises:
        ConfigError: A part of the key is a value already; the message begins with the source.
    """
    *parents, last = key.split(".")
    for parent in parents:
        child = document.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{source}: {parent} is a value, not a section")
        document = child
    document[last] = value


def _faults(model: type[BaseModel], document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the key of each fault of a document, and its explanation."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        return [
            (".".join(map(str, detail["loc"])), _explain(model, detail))
            for detail in error.errors(include_url=False)
        ]
    return []


def _find_source(key: str, sources: Mapping[str, str]) -> str:
    """Return the override or option that set a key, one in it, or one that it is in."""
    found = [
        source
        for given, source in sources.items()
        if not key or f"{key}.".startswith(f"{given}.") or given.startswith(f"{key}.")
    ]
    return ", ".join(found)


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    location = ".".join(str(part) for part in detail["loc"]) or "the document"
    if detail["type"] != "extra_forbidden":
        text = f"{location}: {detail['msg'].removeprefix('Value error, ')}"
        if detail["type"] == "missing":
            return text
        return f"{text} (found {reprlib.repr(detail['input'])})"
    key = str(detail["loc"][-1])
    sections = _sections_at(model, detail["loc"][:-1])
    for section in sections:
        if issubclass(section, Config) and key in section.gone:
            return f"{location}: was removed; {section.gone[key]}"
    known = sorted({name for section in sections for name in section.model_fields})
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"; the nearest known key is {nearest[0]}" if nearest else ""
    return f"{location}: unknown key{hint}"


def _sections_at(
    model: type[BaseModel], location: Sequence[int | str]
) -> list[type[BaseModel]]:
    """Return the section that an error's location leads to, or all that it may be."""
    sections = [model]
    for part in map(str, location):
        inner = []
        for section in sections:
            if part in section.model_fields:
                inner += _sections(section.model_fields[part].annotation)
        # a list index or a union's tag: the section stays
        sections = inner or sections
    return sections


def _sections(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections(argument)]
