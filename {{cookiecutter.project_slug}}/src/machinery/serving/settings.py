"""Settings of the service, from the environment and `.env`.

Parameters (params.yaml) change the model; settings change where it runs. The environment variable
of a setting is the name of the package and of the setting in upper case; .env.example lists them.
"""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project
from machinery.pipeline.validation import sentences

KEY = re.compile(r"[!-~]{16,}")  # long enough, and allowed in a header and a shell
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when imported
ENV_FILE = ".env"
SIMILARITY = 0.75  # of a name to a setting, from which on it is a misspelling
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _check_key(key: SecretStr) -> SecretStr:
    if not KEY.fullmatch(key.get_secret_value()):
        raise ValueError("a key has 16 or more printable ASCII characters without spaces")
    return key


def _split(value: str | tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return [key for part in value.split(",") if (key := part.strip())]
    return value


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Key = Annotated[SecretStr, AfterValidator(_check_key)]
EMPTY = BeforeValidator(lambda value: None if value == "" else value)


class Settings(BaseSettings):
    """Where and how the service runs; everything but the API keys has a default."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True
    )
    api_keys: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_split)] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Count = 1
    model_folder: Path = Path()
    shadow_folder: Annotated[Path | None, EMPTY] = None
    version: str = "unreleased"
    commit: Annotated[str | None, EMPTY] = None
    poll_seconds: Seconds = 2.0
    max_body_bytes: Count = 2_000_000
    max_rows: Count = 1000
    max_concurrency: Count = 100
    timeout_seconds: Seconds = 10.0
    grace_seconds: Seconds = 15.0
    prediction_log: Annotated[Path | None, EMPTY] = Path("logs/predictions")
    prediction_log_days: Annotated[Count | None, EMPTY] = None
    personal_key: Annotated[Key | None, EMPTY] = None
    access_log: bool = True
    demo: bool = False


def prefix(project: Project) -> str:
    """The prefix of the environment variables."""
    return f"{project.package.upper()}_"


def load(project: Project, **options: Any) -> Settings:
    """The settings; options that are not None take precedence over the environment and `.env`.

    Raises:
        UserError: naming each setting that is wrong or misspelt, and if there is no API key.
    """
    start = prefix(project)
    _refuse_misspelt(start)
    overrides = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(_env_prefix=start, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        faults = [
            {**fault, "loc": [f"{start}{fault['loc'][0]}".upper()]} for fault in error.errors()
        ]
        raise UserError(f"{sentences(faults)} (environment or .env)") from None
    if not settings.api_keys and not settings.demo:
        raise UserError(
            f"{start}API_KEYS is not set; set it to one or more keys separated by commas, "
            "or try the service on this machine with --demo"
        )
    if not settings.api_keys and settings.host not in LOOPBACK:
        raise UserError(
            f"{start}HOST is {settings.host}, which other machines can reach; a demo without API "
            "keys listens on 127.0.0.1 only"
        )
    return settings


def _refuse_misspelt(start: str) -> None:
    """Refuse names that are nearly settings; others may belong to another program."""
    names = [name.upper() for name in Settings.model_fields]
    variables = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE))}
    for variable in sorted(name for name in variables if name.startswith(start)):
        matches = get_close_matches(variable.removeprefix(start), names, 1, SIMILARITY)
        if matches and variable != start + matches[0]:
            raise UserError(f"{variable} is not a setting; did you mean {start}{matches[0]}?")
