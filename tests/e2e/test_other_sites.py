"""A page of another site, open in a browser on this machine: it neither writes nor reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import FOREIGN, TIMEOUT_MS
from tests.faults.served import Served, publish_first, serve

# What a page may send without asking first; each resolves, whatever the answer is.
ATTACKS = """async address => {
    const body = '{"track": 1, "time": 1}', url = `${address}/next/7`;
    const many = '{"requests": [{"user": 7, "track": 1, "time": 1}]}';
    const types = ["text/plain", "application/x-www-form-urlencoded", "", "application/json"];
    const form = document.createElement("form"), input = document.createElement("input");
    [form.method, form.enctype, form.action, form.target] = ["POST", "text/plain", url, "frame"];
    [input.name, input.value] = ['{"track": 1, "time": 1, "request":', '1}'];
    form.append(input);
    document.body.append(form);
    const loaded = new Promise(resolve => { document.querySelector("iframe").onload = resolve; });
    form.submit();
    await loaded;
    for (const type of types) {
        const blob = new Blob([body], {type});
        for (const mode of ["no-cors", "cors"])
            await fetch(url, {method: "POST", mode, body: blob}).catch(() => null);
        const batch = {method: "POST", mode: "no-cors", body: new Blob([many], {type})};
        await fetch(`${address}/next`, batch).catch(() => null);
        try { navigator.sendBeacon(`${address}/last/7`, blob); } catch {}
    }
    const read = await fetch(`${address}/experiments`).then(answer => answer.text(), () => "");
    return read;
}"""
pytestmark = pytest.mark.slow


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<body><iframe name=frame></iframe>")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def other_site() -> Iterator[int]:
    """Serve a page of another site on this machine; yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(
        publish_first(tmp_path / "published"), tmp_path / "log", hosts=[]
    ) as one:
        yield one


def count_events(served: Served) -> int:
    assert served.stop() == 0
    return sum(len(log.read_bytes().splitlines()) for log in served.log.glob("*.jsonl"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", FOREIGN])
def test_a_page_of_another_origin_writes_and_reads_nothing(
    browser: Browser, served: Served, host: str
) -> None:
    page = browser.new_page()
    address = f"http://127.0.0.1:{served.port}"
    with other_site() as port:
        page.goto(f"http://{host}:{port}/", timeout=TIMEOUT_MS)
        assert page.evaluate(ATTACKS, address) == ""
        page.close()
    metrics = served.ask("GET", "/metrics")[1]
    assert 'botify_refused_requests_total{status="415"}' in metrics, "they came"
    assert 'botify_refused_requests_total{status="403"}' in metrics
    assert count_events(served) == 0
