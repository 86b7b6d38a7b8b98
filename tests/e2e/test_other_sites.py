"""A page of another site, open in a browser on this machine: it neither writes nor reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import FOREIGN, TIMEOUT_MS
from tests.faults.served import Published, Served, serve
from tests.programs import http_server

# Requests that need no preflight; each promise resolves for any answer.
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
ASK = """([path, body]) => fetch(path, body && {
    method: "POST", headers: {"Content-Type": "application/json"}, body
}).then(answer => answer.status)"""
pytestmark = pytest.mark.slow


@pytest.fixture
def served(published: Published, tmp_path: Path) -> Iterator[Served]:
    with serve(published, tmp_path / "log", hosts=[]) as one:
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
    with http_server(200, b"<body><iframe name=frame></iframe>") as port:
        page.goto(f"http://{host}:{port}/", timeout=TIMEOUT_MS)
        assert page.evaluate(ATTACKS, address) == ""
        page.close()
    metrics = served.ask("GET", "/metrics")[1]
    assert 'botify_refused_requests_total{status="415"}' in metrics, "they came"
    assert 'botify_refused_requests_total{status="403"}' in metrics
    assert count_events(served) == 0


def test_a_name_that_leads_to_this_machine_reads_and_writes_nothing(
    browser: Browser, served: Served
) -> None:
    """As after DNS rebinding; the service's own address may do both."""
    heard = ["/next/7", '{"track": 1, "time": 1}']
    statuses = {}
    for host in (FOREIGN, "127.0.0.1"):
        page = browser.new_page()
        answer = page.goto(f"http://{host}:{served.port}/track/1", timeout=TIMEOUT_MS)
        assert answer is not None
        asked = [
            page.evaluate(ASK, request) for request in (["/experiments", None], heard)
        ]
        statuses[host] = [answer.status, *asked]
        page.close()
    assert statuses == {FOREIGN: [403] * 3, "127.0.0.1": [200] * 3}
    assert count_events(served) == 1
