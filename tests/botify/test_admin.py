from pathlib import Path

from flask.testing import FlaskClient

from tests.botify.client import client_of
from tests.botify.conftest import MakeService
from tests.botify.exports import publish

TOKEN = {"Authorization": "Bearer secret"}


def test_only_the_token_reloads_and_rolls_back(
    client: FlaskClient, tmp_path: Path
) -> None:
    publish(tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1)
    for headers in (
        {},
        {"Authorization": "Bearer no"},
        {"Authorization": "secret"},
        {"Authorization": "Bearer \xe9"},
    ):
        assert client.post("/admin/reload", headers=headers).status_code == 401
    assert client.post("/admin/reload", headers=TOKEN).json == {"version": "two"}
    assert client.post("/admin/rollback", headers=TOKEN).json == {"version": "one"}
    answer = client.post("/admin/rollback", headers=TOKEN)
    assert answer.status_code == 409
    assert "no version earlier" in answer.get_json()["error"]


def test_a_refused_version_is_reported_to_the_administrator(
    client: FlaskClient, tmp_path: Path
) -> None:
    folder = publish(
        tmp_path, "two", {0: [1]}, catalogue=tmp_path / "tracks.json", day=1
    )
    (folder / "recommendations.jsonl").write_bytes(b"{}\n")
    answer = client.post("/admin/reload", headers=TOKEN)
    assert answer.status_code == 409
    assert "recommendations.jsonl" in answer.get_json()["error"]
    assert client.get("/experiments").get_json()["version"] == "one"
    assert "recommendations.jsonl" in client.get("/experiments").get_json()["refused"]


def test_without_a_configured_token_nobody_administers(
    make_service: MakeService,
) -> None:
    client = client_of(make_service())
    assert (
        client.post("/admin/reload", headers={"Authorization": "Bearer "}).status_code
        == 403
    )


def test_a_rollback_to_a_named_version_goes_there_once(
    client: FlaskClient, tmp_path: Path
) -> None:
    for day, name in enumerate(("two", "three"), start=1):
        publish(tmp_path, name, {0: [1]}, catalogue=tmp_path / "tracks.json", day=day)
    assert client.post("/admin/reload", headers=TOKEN).json == {"version": "three"}
    for _ in range(2):
        assert client.post(
            "/admin/rollback", headers=TOKEN, json={"version": "two"}
        ).json == {"version": "two"}
    assert (
        "no version four"
        in client.post("/admin/rollback", headers=TOKEN, json={"version": "four"}).text
    )
    assert client.post("/admin/rollback", headers=TOKEN, data=b"[]").status_code == 400
