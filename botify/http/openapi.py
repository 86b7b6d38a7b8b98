"""The OpenAPI document of the views, and where it is found."""

import inspect
from collections.abc import Callable
from typing import Any

import flask
import orjson
from pydantic import BaseModel
from spectree import Response, SpecTree

from botify.http.docs import render_page
from botify.schemas import LARGEST_ID, Problem

PATH = "/openapi.json"
View = Callable[..., flask.Response]

# The views check bodies by themselves, with these same models, and quicker; the document is all that is wanted of it.
_spec = SpecTree(
    "flask",
    mode="strict",
    annotations=False,
    title="Botify",
    version="1",
    validation_error_status=400,
    validation_error_model=Problem,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _, child: child,
)


def documented(
    *, answer: type[BaseModel] | None = None, body: type[BaseModel] | None = None, refusals: tuple[int, ...] = ()
) -> Callable[[View], View]:
    """Says what a view takes and gives: the models of its body and its answer, and the statuses of its refusals."""
    models: dict[str, type[BaseModel] | None] = {"HTTP_200": answer}
    models |= {f"HTTP_{status}": Problem for status in refusals}
    decorate: Callable[[View], View] = _spec.validate(
        json=body,
        resp=Response(**models),
        skip_validation=True,
    )
    return decorate


def add_document(app: flask.Flask) -> None:
    """Serves the document at `/openapi.json` and the page at `/docs`, and takes the documentation's wrappers off.

    Call it when all other views are there.
    """
    _spec.app = app
    with app.app_context():
        described = _with_id_ranges(_spec._generate_spec())
    document, page = orjson.dumps(described), render_page(app, described, PATH)
    for endpoint, view in app.view_functions.items():
        app.view_functions[endpoint] = inspect.unwrap(view)

    @app.get(PATH)
    def openapi_document() -> flask.Response:
        return flask.Response(document, mimetype="application/json")

    @app.get("/docs")
    def openapi_page() -> flask.Response:
        return flask.Response(page, mimetype="text/html")


def _with_id_ranges(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the range of an id for every number in a path, for which the library says 32 bits."""
    operations = (operation for path in document["paths"].values() for operation in path.values())
    for operation in operations:
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["schema"] = {"type": "integer", "minimum": 0, "maximum": LARGEST_ID}
    return document
