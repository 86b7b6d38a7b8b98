"""The page that shows the OpenAPI document: one file, readable without a script and without a network."""

from dataclasses import dataclass
from typing import Any

import flask

TEMPLATE = "docs.html"
_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True)
class Body:
    """What is sent or answered: the name of a model, or a kind of content."""

    model: str | None
    content: str


@dataclass(frozen=True)
class Operation:
    """An endpoint and a method."""

    method: str
    path: str
    summary: str
    parameters: tuple[tuple[str, str], ...]  # name and type
    body: Body | None
    answers: tuple[tuple[str, str, Body | None], ...]  # status, what it means, what is answered


@dataclass(frozen=True)
class Field:
    """A key of a model."""

    name: str
    type: str
    model: str | None  # the model that the type names
    is_required: bool
    description: str


def render_page(app: flask.Flask, document: dict[str, Any], path: str) -> str:
    """The page, HTML.

    Args:
        app: Whose template it is.
        document: An OpenAPI document.
        path: Where the document itself is found.
    """
    with app.app_context():
        return flask.render_template(
            TEMPLATE, info=document["info"], path=path, operations=operations(document), models=models(document)
        )


def operations(document: dict[str, Any]) -> list[Operation]:
    """All endpoints, in the document's order."""
    return [
        Operation(
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            parameters=tuple((one["name"], type_text(one["schema"])) for one in operation.get("parameters", ())),
            body=_body(operation.get("requestBody")),
            answers=tuple(
                (status, answer["description"], _body(answer))
                for status, answer in sorted(operation["responses"].items())
            ),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def models(document: dict[str, Any]) -> dict[str, tuple[str, list[Field]]]:
    """What each model is, and its keys."""
    return {
        name: (schema.get("description", ""), [_field(key, schema) for key in schema.get("properties", {})])
        for name, schema in document["components"]["schemas"].items()
    }


def type_text(schema: dict[str, Any]) -> str:
    """A type in words: `integer, 0 to 9`, `list of Track`, `text or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REFERENCE)
    if "anyOf" in schema:
        return " or ".join(type_text(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        size = f", at least {schema['minItems']}" if "minItems" in schema else ""
        return f"list of {type_text(schema['items'])}{size}"
    name = {"string": "text", "boolean": "true or false"}.get(schema["type"], str(schema["type"]))
    return f"{name}, {schema['minimum']:,} to {schema['maximum']:,}" if "minimum" in schema else name


def _field(key: str, schema: dict[str, Any]) -> Field:
    its = schema["properties"][key]
    return Field(key, type_text(its), _model(its), key in schema.get("required", ()), its.get("description", ""))


def _model(schema: dict[str, Any]) -> str | None:
    reference = schema.get("items", schema).get("$ref")
    return None if reference is None else str(reference).removeprefix(_REFERENCE)


def _body(holder: dict[str, Any] | None) -> Body | None:
    for content, described in (holder or {}).get("content", {}).items():
        return Body(_model(described.get("schema", {})), content)
    return None
