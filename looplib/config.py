"""YAML configuration: files and `key=value` overrides in, frozen pydantic models out."""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from annotated_types import Ge, Gt, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from looplib.errors import ConfigError

# Kinds of numbers that sections share.
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
Memory = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)? ?[MGT]i?B$")]
UNKNOWN_KEY = "unknown_key"


class Config(BaseModel):
    """Base of every configuration section: immutable, unknown keys refused, numbers finite."""

    # Keys that were removed, and what replaces each: named to a user who still sets them.
    gone: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,  # as the descriptions of fields
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, document: Any) -> Any:  # noqa: ANN401  as it came
        """Refuse keys that do not exist: name the nearest one, or what replaces them."""
        is_strict = cls.model_config["extra"] == "forbid"
        if not (is_strict and isinstance(document, Mapping)):
            return document
        faults = []
        for key in document.keys() - cls.model_fields.keys():
            if key in cls.gone:
                text = f"was removed; {cls.gone[key]}"
            else:
                known = sorted(cls.model_fields)
                nearest = difflib.get_close_matches(str(key), known, 1, cutoff=0)
                text = f"unknown key; the nearest known key is {''.join(nearest)}"
            fault = PydanticCustomError(UNKNOWN_KEY, "{text}", {"text": text})
            faults.append(InitErrorDetails(type=fault, loc=(key,), input=None))
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return document


ConfigT = TypeVar("ConfigT", bound=Config)


def load_config(
    model: type[ConfigT],
    path: Path | None = None,
    overrides: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    above: Mapping[str, Any] | None = None,
) -> ConfigT:
    """Read a configuration from a YAML file, or the defaults alone.

    Overrides are texts `dotted.key=value`, the value in YAML; later ones win, and all win over the
    file. Values `above` the file win over it alone. Options are values by dotted key, None if not
    given, and win over all.

    Raises:
        ConfigError: The file cannot be read, a key is unknown (the nearest known one is named), or
            a value is not allowed.
    """
    document = (_read_yaml(path) if path else {}) | dict(above or {})
    for key, value in map(_parse, overrides):
        set_value(document, key, value, f"--set {key}")
    for key, value in (options or {}).items():
        if value is not None:
            set_value(document, key, value, key)
    return parse_config(model, document, str(path or "the configuration"))


def parse_config(
    model: type[ConfigT], document: dict[str, Any], source: str
) -> ConfigT:
    """Check a document against a section; `source` is what error messages call it.

    Raises:
        ConfigError: A key is unknown or a value is not allowed.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = []
        for detail in error.errors(include_url=False):
            key = ".".join(map(str, detail["loc"])) or "the document"
            fault = f"{key}: {detail['msg'].removeprefix('Value error, ')}"
            if detail["type"] not in ("missing", UNKNOWN_KEY):
                fault += f" (found {reprlib.repr(detail['input'])})"
            faults.append(fault)
        raise ConfigError(f"{source}: {'; '.join(faults)}") from None


def dump_config(config: Config) -> str:
    """Return the effective configuration as YAML, defaults included."""
    document = config.model_dump(mode="json")
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    document = parse_yaml(content, f"{path}: not YAML")
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
            f"--set {override}: expected key=value, such as search.iterations=10"
        )
    return key.strip(), parse_yaml(text, f"--set {key}: the value is not YAML")


def parse_yaml(content: str | bytes, refusal: str) -> Any:  # noqa: ANN401  any YAML
    """Return what YAML says.

    Raises:
        ConfigError: It is none; the message begins with `refusal`.
    """
    try:
        return yaml.safe_load(content)
    # of dates such as 2020-13-01 PyYAML raises a ValueError, of a thousand brackets the last
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{refusal} ({reason})") from None


def set_value(document: dict[str, Any], key: str, value: Any, source: str) -> None:  # noqa: ANN401
    """Set the value of a dotted key, and make the sections above it.

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
