"""Schemathesis asks the service what its own OpenAPI document says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from botify.app import make_app
from tests.botify.conftest import MakeService

EXAMPLES = 15  # of each operation and mode


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_service_answers_as_its_document_says(
    make_service: MakeService, mode: GenerationMode
) -> None:
    """No 5xx, undocumented status or other shape; what breaks the schema is refused."""
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
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Case[Any]) -> None:
            # Which tracks there are is the catalogue's to say, not the document's.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        check()
