"""The kinds of model that a search tries, and the values of their hyperparameters."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError

from looplib.config import UNKNOWN_KEY, Config, as_tuple
from recsys.models.activation import Activation
from recsys.models.als import Als
from recsys.models.base import Model
from recsys.models.baselines import Latest, MostPlayed, Popular
from recsys.models.blend import Blend
from recsys.models.external import CLASS, External
from recsys.models.item_knn import ItemKnn
from recsys.models.libraries import class_path

Axes = Mapping[str, tuple[Any, ...]]  # the values of each hyperparameter
MODELS: dict[str, type[Model]] = {
    kind.name: kind
    for kind in (
        Als,
        Activation,
        ItemKnn,
        Blend,
        Popular,
        MostPlayed,
        Latest,
    )
}


def searched_models() -> dict[str, type[Model]]:
    """Name the kinds that a search may try: lists come as files, baselines unasked."""
    return {name: kind for name, kind in MODELS.items() if not kind.is_baseline}


def find_kind(name: str, params: Mapping[str, Any]) -> type[Model]:
    """Look up the class of a model by its name and parameters.

    Raises:
        ValueError: There is none of the name.
    """
    if CLASS in params:
        return External
    if name not in MODELS:
        raise ValueError(f"no kind of model is called {name}")
    return MODELS[name]


def read_models(models: Mapping[str, Any]) -> dict[str, Axes]:
    """Read the axes of kinds of model.

    A value stands for an axis of one value; a kind of null is left out. With the key `class`, the
    path of a class or the class itself, the name is free and the axes belong to the class; so is a
    pair of a class and its axes.

    >>> axes = read_models({"item_knn": {"neighbours": [50, 200]}})["item_knn"]
    >>> axes["neighbours"], axes["weighting"]
    ((50, 200), ('bm25',))

    Returns:
        The values of every hyperparameter by kind; a hyperparameter without values has its default.

    Raises:
        ValueError: A kind or a hyperparameter is unknown, or a value is not allowed.
    """
    kinds = searched_models()
    axes = {}
    for name, values in _as_mapping(models).items():
        if values is None:
            continue
        if name not in kinds and not isinstance(values, (Mapping, tuple)):
            values = (values,)
        if isinstance(values, tuple):
            values = {CLASS: values[0], **dict(*values[1:])}
        if isinstance(values, Mapping) and CLASS in values:
            axes[name] = _read_class(str(name), values)
            continue
        if name not in kinds:
            nearest = difflib.get_close_matches(str(name), kinds, 1, cutoff=0)
            text = f"unknown model; the nearest is {''.join(nearest)}, allowed are "
            raise _refusal((name,), UNKNOWN_KEY, text + ", ".join(kinds))
        axes[name] = _read_axes(name, kinds[name].config_type(), _as_mapping(values))
    return axes


def _as_mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refusal((), "mapping", "a mapping by name is expected", value)
    return value


def _read_class(name: str, values: Mapping[str, Any]) -> Axes:
    made, *more = _as_values(values[CLASS])
    path = class_path(made)
    is_named = isinstance(made, str) or hasattr(made, "__qualname__")
    if more or "<locals>" in path or not is_named:
        text = f"{path} found; expected is a class at the top of a module"
        raise _refusal((name, CLASS), "class", text, path)
    if name in MODELS or not re.fullmatch(r"[\w-]+", name):
        text = "a class needs another name, of letters, digits, - and _"
        raise _refusal((name,), "name", text, name)
    axes = {axis: _as_axis((name, axis), values[axis]) for axis in values}
    axes[CLASS] = (path,)
    try:
        plain = orjson.loads(orjson.dumps(axes))  # the form of the ledger
    except TypeError as error:
        text = f"{error}; numbers, texts and lists are allowed"
        raise _refusal((name,), "value", text, values) from None
    return {axis: tuple(values) for axis, values in plain.items()}


def _as_values(value: object) -> tuple[Any, ...]:
    """Make a tuple of the values of an axis, with Python's numbers in place of NumPy's."""
    values = as_tuple(value.tolist() if isinstance(value, np.ndarray) else value)
    return tuple(
        item.item() if isinstance(item, np.generic) else item for item in values
    )


def _as_axis(loc: tuple[str, ...], value: object) -> tuple[Any, ...]:
    axis = _as_values(value)
    if not axis:
        raise _refusal(loc, "empty", "at least one value is needed", value)
    if len({*map(repr, axis)}) < len(axis):
        raise _refusal(loc, "twice", "a value stands twice", value)
    return axis


def _read_axes(kind: str, config: type[Config], values: Mapping[str, Any]) -> Axes:
    axes = {name: (field.default,) for name, field in config.model_fields.items()}
    fields: Any = {kind: (config, ...)}  # so that errors name the kind
    section = create_model(kind, **fields)
    for name, value in values.items():
        sections = [
            section.model_validate({kind: {name: item}}) for item in _as_values(value)
        ]
        checked = [getattr(getattr(item, kind), name) for item in sections]
        axes[name] = _as_axis((kind, name), checked)
    return axes


def _refusal(
    loc: tuple[Any, ...], kind: str, text: str, value: object = None
) -> ValidationError:
    fault = PydanticCustomError(kind, "{text}", {"text": text})
    details = InitErrorDetails(type=fault, loc=loc, input=value)
    return ValidationError.from_exception_data("models", [details])
