"""The client of a service, where something else answers."""

import http.server
import threading

import pytest

import listening_loop as ll
from listening_loop.client import ServiceClient


class Another(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[7]")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_answer_of_another_program_is_one_line() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Another) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = ServiceClient(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(ll.Error, match="does not answer"):
            client.ask("GET", "/health/ready")
        thread.join(60)
