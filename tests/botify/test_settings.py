import re
from pathlib import Path

import pytest

from botify.service import make_sessions
from botify.settings import ServiceSettings, load_settings
from looplib.errors import ConfigError
from tests.conftest import Run

BASIC = """
catalogue: tracks.json
recommendations: current/recommendations.jsonl
log_dir: log
experiments:
  - name: A
    arms: [{recommender: random}, {recommender: indexed, weight: 3}]
"""


def load(
    folder: Path,
    environment: dict[str, str] | None = None,
    **options: object,
) -> ServiceSettings:
    file = folder / "botify.yaml"
    file.write_text(BASIC)
    return load_settings(
        file, environment or {}, [f"{key}={value}" for key, value in options.items()]
    )


def test_the_environment_wins_over_the_file_and_options_over_both(
    tmp_path: Path,
) -> None:
    environment = {
        "BOTIFY_LOG_DIR": "/var/log/b",
        "BOTIFY_PORT": "7000",
        "BOTIFY_FALLBACK": "{unknown: [random]}",
        "HOME": "/x",
    }
    found = load(tmp_path, environment, port=8000)
    assert (found.log_dir, found.port) == (Path("/var/log/b"), 8000)
    assert found.fallback.unknown == ("random",)


def test_a_token_of_digits_is_a_text(tmp_path: Path) -> None:
    token = load(tmp_path, {"BOTIFY_ADMIN_TOKEN": "12345"}).admin_token
    assert token is not None
    assert token.get_secret_value() == "12345"
    assert "12345" not in repr(token), "secrets are not printed"


def test_an_experiment_may_be_a_file_and_the_first_decides(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(
        "{name: B, hypothesis: why, arms: [{recommender: random},"
        " {recommender: indexed, weight: 3}], metrics: [time], planned_listeners: 500}"
    )
    found = load(tmp_path, experiments=f"[{file}]")
    assert found.deciding.hypothesis == "why"
    assert found.deciding.shares == {"C": 0.25, "T1": 0.75}
    file.write_text("{name: B, arms: [{recommender: best}, {recommender: random}]}")
    with pytest.raises(ConfigError, match="best: no such recommender"):
        load(tmp_path, experiments=f"[{file}]")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"BOTIFY_LOGDIR": "x"},
            "logdir: unknown key; the nearest known key is log_dir",
        ),
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


@pytest.mark.parametrize(
    "text",
    [
        "admin_token: 2244668800",
        "admin_token: [hunter2]",
        "admin_token: {hunter2: 1}",
        "redis_url: {redis: //:hunter2@redis}",
        "admin_token:hunter2",
        "admin_token: hunter2: x",
        "admin_token: *hunter2",
        "admin_token: !hunter2 x",
        "admin_token: !!int hunter2",
        "admin_token: !!bool hunter2",
        "admin_token: !!timestamp hunter2",
        "admin_token: 'hunter2",
        "admin_token hunter2:",
        "admin_token: hunter2\nexperiments: [{arms: []}]",
        "admin_token: hunter2\nexperiments: [&a {name: A, arms: [{recommender: random}]}, *a]",
        "fallback: {admin_token: hunter2, unknown: 1}",
        "fallback: [{admin_token: hunter2}]",
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    base, _, _ = BASIC.partition("experiments:")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text=f"{base}{text}\nport: 5001\n")
    assert "hunter2" not in str(caught.value)
    assert "2244668800" not in str(caught.value)
    for override in ("admin_token hunter2", "admin_token=[hunter2", "admin_token=22"):
        with pytest.raises(ConfigError) as caught:
            load_settings(None, {}, [override])
        assert not {"hunter2", "22"} & set(re.split(r"\W+", str(caught.value)))


@pytest.mark.parametrize("url", ["redis://:hunter2/x@redis", "redis://:[hunter2@redis"])
def test_no_error_shows_the_password_of_redis(tmp_path: Path, url: str) -> None:
    settings = load(tmp_path, {"BOTIFY_REDIS_URL": url})
    with pytest.raises(ConfigError, match="redis_url") as caught:
        make_sessions(settings, "0" * 64)
    assert "hunter2" not in str(caught.value)


def test_several_processes_without_redis_are_refused_in_one_line(
    tmp_path: Path, refusal: Run
) -> None:
    load(tmp_path)
    line = refusal("serve", f"--config={tmp_path}/botify.yaml", "--processes=2")
    assert "set redis_url, or processes to 1" in line
