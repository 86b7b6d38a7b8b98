from pathlib import Path

import pytest
from pydantic import SecretStr

from botify import __main__ as program
from botify.settings import Settings, load_settings
from looplib.cli import run
from looplib.errors import ConfigError

BASIC = """
catalog: tracks.json
recommendations: current/recommendations.jsonl
log_dir: log
experiments:
  - name: A
    arms: [{recommender: random}, {recommender: indexed, weight: 3}]
decides: A
"""


def load(folder: Path, environment: dict[str, str] | None = None, text: str = BASIC, **options: object) -> Settings:
    file = folder / "botify.yaml"
    file.write_text(text)
    return load_settings(file, environment or {}, [f"{key}={value}" for key, value in options.items()])


def test_the_environment_wins_over_the_file_and_options_over_both(tmp_path: Path) -> None:
    environment = {"BOTIFY_LOG_DIR": "/var/log/b", "BOTIFY_PORT": "7000", "BOTIFY_PROCESSES": "2", "HOME": "/x"}
    found = load(tmp_path, environment, port=8000)
    assert (found.log_dir, found.port, found.processes) == (Path("/var/log/b"), 8000, 2)


VARIABLES: dict[str, tuple[str, object]] = {
    "BOTIFY_CATALOG": ("/data/t.json", "/data/t.json"),
    "BOTIFY_RECOMMENDATIONS": ("/data/r.jsonl", "/data/r.jsonl"),
    "BOTIFY_TEXT_USERS": ("true", True),
    "BOTIFY_LOG_DIR": ("/var/log/b", "/var/log/b"),
    "BOTIFY_REDIS_URL": ("redis://h:1/0", "redis://h:1/0"),
    "BOTIFY_REDIS_TIMEOUT_S": ("0.5", 0.5),
    "BOTIFY_ADMIN_TOKEN": ("12345", "12345"),
    "BOTIFY_API_KEYS": (
        "{app: {key: sixteen-letters-or, rate: 2}}",
        {"app": {"key": "**********", "rate": 2.0}},
    ),
    "BOTIFY_EXPERIMENTS": (
        "[{name: A, salt: s, overrides: {7: x}, arms: [{name: x, weight: 2, recommender: top_pop}]}]",
        [
            {
                "name": "A",
                "salt": "s",
                "overrides": {"7": "x"},
                "arms": [{"name": "x", "weight": 2.0, "recommender": "top_pop"}],
            }
        ],
    ),
    "BOTIFY_DECIDES": ("A", "A"),
    "BOTIFY_FALLBACK": ("{unknown: [random]}", {"exhausted": ["sticky_artist"], "unknown": ["random"]}),
    "BOTIFY_EVENT_LOG": (
        "{fsync: always, segment_bytes: 9, segment_age_s: 2}",
        {"fsync": "always", "segment_bytes": 9, "segment_age_s": 2.0},
    ),
    "BOTIFY_HTTP": (
        "{header_s: 1, body_s: 2, idle_s: 3, connections: 4, client_connections: 5, certificate: c}",
        {
            "header_s": 1.0,
            "body_s": 2.0,
            "idle_s": 3.0,
            "connections": 4,
            "client_connections": 5,
            "certificate": "c",
            "certificate_key": None,
        },
    ),
    "BOTIFY_HOST": ("0.0.0.0", "0.0.0.0"),  # noqa: S104  never listened on
    "BOTIFY_PORT": ("7000", 7000),
    "BOTIFY_PROCESSES": ("2", 2),
    "BOTIFY_THREADS": ("8", 8),
    "BOTIFY_SESSION_SILENCE_S": ("60", 60.0),
    "BOTIFY_STOP_GRACE_S": ("30", 30),
    "BOTIFY_WATCH_S": ("0.5", 0.5),
    "BOTIFY_BODY_LIMIT_BYTES": ("100", 100),
    "BOTIFY_BATCH_LIMIT": ("5", 5),
    "BOTIFY_SEED": ("3", 3),
}


@pytest.mark.parametrize("key", Settings.model_fields)
def test_every_setting_has_a_variable_of_its_name(tmp_path: Path, key: str) -> None:
    text, expected = VARIABLES[f"BOTIFY_{key.upper()}"]
    settings = load(tmp_path, {f"BOTIFY_{key.upper()}": text})
    found = getattr(settings, key)
    if isinstance(found, SecretStr):
        assert found.get_secret_value() == expected
    else:
        assert settings.model_dump(mode="json")[key] == expected


def test_arms_without_a_name_are_c_t1_and_so_on(tmp_path: Path) -> None:
    arms = load(tmp_path).experiments[0].arms
    assert [(arm.name, arm.weight) for arm in arms] == [("C", 1), ("T1", 3)]


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    assert "s3cret" not in repr(load(tmp_path, {"BOTIFY_ADMIN_TOKEN": "s3cret"}))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"BOTIFY_LOGDIR": "x"}, "logdir: unknown key; the nearest known key is log_dir"),
        ({"BOTIFY_DECIDES": "Z"}, "no experiment Z; allowed: A"),
        (
            {"BOTIFY_EXPERIMENTS": "[{name: A, arms: [{recommender: best}]}]"},
            "no such recommender; allowed: random",
        ),
        ({"BOTIFY_PORT": "many"}, "port: "),
        ({"BOTIFY_ADMIN_TOKEN": ""}, "admin_token: "),
        ({"BOTIFY_EXPERIMENTS": "[{name: A, arms: []}]"}, "arms: "),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(
    tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, environment)
    assert message in str(caught.value)


def test_several_processes_without_redis_are_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path)
    assert run(program.app, program.PROG, ["--config", str(tmp_path / "botify.yaml"), "--processes", "2"]) == 2
    errors = capfd.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "set redis_url, or processes to 1" in errors[0]


def test_a_missing_catalogue_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(tmp_path)
    assert run(program.app, program.PROG, ["--config", str(tmp_path / "botify.yaml")]) == 2
    assert "tracks.json: cannot be read" in capfd.readouterr().err
