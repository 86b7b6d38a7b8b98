"""The OpenAPI document, its page, and a service that answers as the document says."""

import re
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from botify.app import make_app
from botify.service import Service
from looplib.event_fields import EVENT_FIELDS
from tests.botify.conftest import MakeService


def test_the_document_is_openapi_and_knows_every_address(
    client: FlaskClient, service: Service
) -> None:
    document = client.get("/openapi.json").get_json()
    validate(document)
    described = {
        (re.sub(r"{\w+}", "", path), method.upper())
        for path, operations in document["paths"].items()
        for method in operations.keys() - {"parameters"}
    }
    routes = {
        (re.sub(r"<.*>", "", rule.rule), method)
        for rule in make_app(service).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert described == routes - {("/openapi.json", "GET"), ("/docs", "GET")}


def test_the_document_has_each_field_of_the_log_that_clients_send(
    client: FlaskClient,
) -> None:
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    sent = {field.name: field.optional for field in EVENT_FIELDS if field.from_client}
    schema = schemas["ListenerHeardTrack"]
    assert schema["properties"].keys() == sent.keys() | {"exclude", "n"}
    assert set(schema["required"]) == {name for name in sent if not sent[name]}


def test_the_page_of_the_document_names_every_endpoint_and_needs_no_other_host(
    client: FlaskClient,
) -> None:
    document, answer = client.get("/openapi.json").get_json(), client.get("/docs")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = answer.text
    for path, operations in document["paths"].items():
        for method in operations.keys() - {"parameters"}:
            assert re.search(rf">{method.upper()} {re.escape(path)}<", page)
    assert not re.search(r"<script src|//|@import|url\(", page), "all is in the page"
    assert """-d '{"time": 0.8, "track": 0}'""" in page
    addresses = set(re.findall(r'(?:href|src)="([^"#]+)', page))
    assert addresses == {"/openapi.json", "data:,"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_service_answers_as_its_document_says(
    make_service: MakeService, mode: GenerationMode
) -> None:
    """No 5xx, undocumented status or other shape; requests that break the schema are refused."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", make_app(make_service()))
    operations = [
        result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)
    ]
    assert len(operations) >= 8
    for operation in operations:
        takes_something = operation.body or operation.path_parameters
        if mode is GenerationMode.NEGATIVE and not takes_something:
            continue  # nothing about such a request can be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=15,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Case[Any]) -> None:
            # The catalogue decides which tracks exist, not the document.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        check()
