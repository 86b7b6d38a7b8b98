"""YAML configuration: files and `key=value` overrides in, frozen pydantic models out."""

import difflib
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from annotated_types import Ge, Gt, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from looplib.errors import ConfigError
from looplib.untrusted import read_untrusted

# Kinds of numbers that sections share.
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]
UNKNOWN_KEY = "unknown_key"
_MOST_UNKNOWN = 5  # keys that an error names
_LARGEST_FILE = 2**18  # bytes, which take seconds to parse


def as_tuple(value: object) -> tuple[Any, ...]:
    """Make a tuple of the values of a list, or of a single value."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


class Config(BaseModel):
    """Base of every configuration section: immutable, unknown keys refused, numbers finite.

    Example:
        >>> class Traffic(Config):
        ...     episodes: Count = 100
        >>> Traffic(episodes=20)
        Traffic(episodes=20)
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,  # descriptions of fields
    )

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, document: Any) -> Any:  # noqa: ANN401  any YAML
        """Refuse unknown keys, and name the nearest known key."""
        is_strict = cls.model_config["extra"] == "forbid"
        if not (is_strict and isinstance(document, Mapping)):
            return document
        errors = []
        unknown = [key for key in document if key not in cls.model_fields]
        for key in unknown[:_MOST_UNKNOWN]:
            # a line without its colon, or its space, has the value in the key
            name = key if re.fullmatch(r"[\w.-]+", str(key)) else "a key"
            nearest = difflib.get_close_matches(str(key), cls.model_fields, 1, cutoff=0)
            text = f"unknown key; the nearest known key is {''.join(nearest)}"
            error = PydanticCustomError(UNKNOWN_KEY, "{text}", {"text": text})
            errors.append(InitErrorDetails(type=error, loc=(name,), input=None))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
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

    Args:
        model: The section that it is checked against.
        path: The file; `configs/…` is read from the package if it is not in this folder.
        overrides: Texts `dotted.key=value`, the value in YAML; a later text wins, and all win over
            the file.
        options: Values by dotted key that win over all; None if an option was not set.
        above: Values that win over the file alone.

    Raises:
        ConfigError: The file cannot be read, a key is unknown (the nearest is named), or
            a value is not allowed.

    Example:
        >>> class Traffic(Config):
        ...     episodes: Count = 100
        >>> load_config(Traffic, overrides=["episodes=20"])
        Traffic(episodes=20)
    """
    document = (_read_yaml(_find(path)) if path else {}) | dict(above or {})
    for override in overrides:
        key, separator, text = override.partition("=")
        key = key.strip()
        if not separator or not key:
            raise ConfigError("--set: expected key=value, such as search.iterations=10")
        source = f"--set {key}"
        value: object = text  # %d begins no YAML
        if not text.startswith("%"):
            value = parse_yaml(text, f"{source}: the value is not YAML")
        set_value(document, key, value, source)
    for key, value in (options or {}).items():
        if value is not None:
            set_value(document, key, value, key)
    return parse_config(model, document, str(path or "the configuration"))


def parse_config(
    model: type[ConfigT], document: dict[str, Any], source: str
) -> ConfigT:
    """Check a document against a section; error messages call it `source`.

    Raises:
        ConfigError: A key is unknown or a value is not allowed.

    Example:
        >>> class Traffic(Config):
        ...     seed: int = 1
        >>> parse_config(Traffic, {"sede": 7}, "a.yaml")
        Traceback (most recent call last):
        looplib.errors.ConfigError: a.yaml: sede: unknown key; the nearest known key is seed
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        reasons = []
        fields = model.model_fields.items()
        secrets = {name for name, field in fields if "Secret" in str(field.annotation)}
        for detail in error.errors(include_url=False):
            key = ".".join(map(str, detail["loc"])) or "the document"
            reason = f"{key}: {detail['msg'].removeprefix('Value error, ')}"
            value = detail["input"]
            # sections may hold secrets
            is_hidden = secrets & {*detail["loc"]} or isinstance(value, (list, dict))
            if not (is_hidden or detail["type"] in ("missing", UNKNOWN_KEY)):
                reason += f" (found {reprlib.repr(value)})"
            reasons.append(reason)
        raise ConfigError(f"{source}: {'; '.join(reasons)}") from None


def dump_config(config: Config) -> str:
    """Write the effective configuration as YAML, defaults included."""
    document = config.model_dump(mode="json")
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _find(path: Path) -> Path:
    """Find a configuration in this folder, or else in the package."""
    if path.parts[:1] != ("configs",) or path.exists():
        return path
    root = Path(__file__).parents[1]
    in_wheel, in_source = root / "listening_loop" / path, root / path
    return next(filter(Path.exists, [in_wheel, in_source]), path)


def _read_yaml(path: Path) -> dict[str, Any]:
    content = read_untrusted(path, _LARGEST_FILE, error=ConfigError)
    document = parse_yaml(content, f"{path}: not YAML")
    if document is None:
        return {}
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ConfigError(f"{path}: a mapping of keys is expected, found {kind}")
    return document


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's readers take the last."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:
        for key, count in Counter(str(key.value) for key, _ in node.value).items():
            if count > 1:
                raise yaml.YAMLError(f"{key} is there twice; leave one out")
        return super().construct_mapping(node, deep)


def parse_yaml(content: str | bytes, refusal: str) -> Any:  # noqa: ANN401  any YAML
    """Parse YAML.

    Raises:
        ConfigError: It is none; the message begins with `refusal`.
    """
    try:
        return _Loader(content).get_single_data()
    # PyYAML raises others for values such as 2020-13-01, !!bool x, and a thousand brackets
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        # no text of the document, which may be a secret
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        reason = re.sub(r"['\"][\w!].*['\"]", "…", problem)
        raise ConfigError(f"{refusal} ({place}{reason})") from None


def set_value(document: dict[str, Any], key: str, value: Any, source: str) -> None:  # noqa: ANN401
    """Set the value of a dotted key, and make the sections above it.

    Raises:
        ConfigError: A part of the key is a value already; the message begins with the source.

    Example:
        >>> document = {"seed": 1}
        >>> set_value(document, "validation.ks", [10], "--set validation.ks")
        >>> document
        {'seed': 1, 'validation': {'ks': [10]}}
    """
    *parents, last = key.split(".")
    for parent in parents:
        child = document.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{source}: {parent} is a value, not a section")
        document = child
    document[last] = value
