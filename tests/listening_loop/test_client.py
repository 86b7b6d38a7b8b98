"""The client of a service, where something else answers."""

import pytest

import listening_loop as ll
from listening_loop.client import ServiceClient
from tests.programs import http_server


def test_an_answer_of_another_program_is_one_line() -> None:
    with http_server(200, b"[7]") as port:
        client = ServiceClient(f"http://127.0.0.1:{port}")
        with pytest.raises(ll.Error, match="does not answer"):
            client.ask("GET", "/health/ready")
