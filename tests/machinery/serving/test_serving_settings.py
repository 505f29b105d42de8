"""Settings from the environment and .env, and their list in .env.example."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machinery.pipeline.files import UserError
from machinery.serving import settings as settings_module
from machinery.serving.settings import Settings
from machinery.serving.telemetry import set_up_logs
from shop.project import Shop

Serve = Callable[..., Any]
Row = Callable[..., dict[str, Any]]
KEY = "a-key-of-16-signs"
SHORT = "short"
SECRET = {"api_keys", "personal_key"}
PREFIX = "SHOP_"
EXAMPLE = Path(__file__).parents[3] / "{{cookiecutter.project_slug}}/.env.example"
VALUES: dict[str, tuple[str, Any]] = {
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "workers": ("3", 3),
    "threads": ("2", 2),
    "model_folder": ("models/new", Path("models/new")),
    "shadow_folder": ("models/next", Path("models/next")),
    "version": ("v1", "v1"),
    "commit": ("abc", "abc"),
    "poll_seconds": ("0.5", 0.5),
    "max_body_bytes": ("5", 5),
    "max_rows": ("6", 6),
    "max_concurrency": ("7", 7),
    "timeout_seconds": ("1.5", 1.5),
    "grace_seconds": ("2.5", 2.5),
    "prediction_log": ("", None),
    "prediction_log_days": ("30", 30),
    "access_log": ("false", False),
    "demo": ("true", True),
}


def load(**options: Any) -> Settings:
    return settings_module.load(Shop(), **options)


@pytest.fixture(autouse=True)
def _empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_each_setting_comes_from_the_environment_or_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {name: value for name, (_, value) in VALUES.items()}
    defaults = Settings(_env_file=None, _env_prefix=PREFIX).model_dump()
    assert not [name for name, value in expected.items() if value == defaults[name]]
    assert {*expected, *SECRET} == defaults.keys()
    variables = {f"{PREFIX}{name.upper()}": text for name, (text, _) in VALUES.items()}
    variables |= {f"{PREFIX}{name.upper()}": KEY for name in SECRET}
    Path(".env").write_text("".join(f"{name}={text}\n" for name, text in variables.items()))
    assert load().model_dump(exclude=SECRET) == expected
    Path(".env").unlink()
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert load().model_dump(exclude=SECRET) == expected


@pytest.mark.parametrize("is_logged", [True, False])
def test_each_request_is_logged_unless_a_setting_turns_it_off(
    serve: Serve, capfd: pytest.CaptureFixture[str], is_logged: bool
) -> None:
    set_up_logs()
    serve(access_log=is_logged).get("/health", headers={"x-request-id": "an-id"})
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    requests = [line for line in lines if line.get("request_id") == "an-id"]
    assert [(line["event"], line["path"], line["status"]) for line in requests] == [
        ("request", "/health", 200)
    ] * is_logged


@pytest.mark.parametrize("name", ["MAX_ROW", "max_row"])
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_misspelt_setting_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    if place == ".env":
        Path(".env").write_text(f"{PREFIX}{name}=1\n{PREFIX}API_KEYS={KEY}\n")
    else:
        monkeypatch.setenv(PREFIX + "API_KEYS", KEY)
        monkeypatch.setenv(PREFIX + name, "1")
    with pytest.raises(UserError, match=f"{name.upper()} is not a setting; did you mean"):
        load()


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "API_KEYS", KEY)
    for name in ("SERVICE_HOST", "SERVICE_PORT_HTTP", "PORT_8000_TCP_ADDR", "TRAINING_BUCKET"):
        monkeypatch.setenv(PREFIX + name, "1")
    Path(".env").write_text("GRAFANA_PASSWORD=x\n")
    load()


def test_several_keys_are_accepted_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "API_KEYS", f"{KEY}, {KEY}-next,")
    monkeypatch.setenv(PREFIX + "PERSONAL_KEY", KEY)
    monkeypatch.setenv(PREFIX + "PORT", "1")
    settings = load(port=2, workers=None)
    assert settings.port == 2
    assert [key.get_secret_value() for key in settings.api_keys] == [KEY, f"{KEY}-next"]
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "API_KEYS is not set"),
        ({"API_KEYS": " ,"}, "API_KEYS is not set"),
        ({"API_KEYS": f"{KEY}\n{KEY}"}, "a key has 16 or more printable ASCII characters"),
        ({"API_KEYS": SHORT}, "a key has 16 or more printable ASCII characters"),
        ({"API_KEYS": KEY, "PERSONAL_KEY": SHORT}, "PERSONAL_KEY: a key has 16 or more"),
        ({"API_KEYS": KEY, "PREDICTION_LOG_DAYS": "0"}, "PREDICTION_LOG_DAYS is '0'"),
        ({"API_KEYS": KEY, "PORT": "http"}, "PORT is 'http'"),
        ({"DEMO": "true", "HOST": "0.0.0.0"}, "a demo without API keys listens on 127.0.0.1"),
    ],
)
def test_an_invalid_setting_is_named_and_a_key_is_required(
    settings: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(UserError, match=words) as refused:
        load()
    assert SHORT not in str(refused.value)


def test_the_example_lists_every_setting_with_its_default() -> None:
    before = "# {{ cookiecutter.project_slug.upper() }}_"
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    listed = dict(
        line.removeprefix(before).split("=", 1) for line in lines if line.startswith(before)
    )
    assert listed.keys() == {name.upper() for name in Settings.model_fields}
    Path(".env").write_text("".join(f"{PREFIX}{name}={text}\n" for name, text in listed.items()))
    assert Settings(_env_prefix=PREFIX) == Settings(_env_file=None, _env_prefix=PREFIX)
