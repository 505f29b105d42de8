"""settings: where and how the service runs, from the environment and `.env`.

Parameters (params.yaml) change the model; settings change where it runs. Each is an environment
variable: the package's name in upper case, then the setting's, as .env.example lists them.
"""

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from machinery.pipeline.files import UserError
from machinery.pipeline.project import Project
from machinery.pipeline.validation import sentences

KEY = re.compile(r"[!-~]{16,}")  # long enough, and what a header and a shell can carry
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client asks for it when imported
ENV_FILE = ".env"
NEAR = 0.75  # how alike a name is that was meant to be another
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """Where and how the service runs; everything but the API keys has a default."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Count = 1
    model_folder: Path = Path()
    shadow_folder: Path | None = None
    version: str = "unreleased"
    commit: str | None = None
    poll_seconds: Seconds = 2.0
    max_body_bytes: Count = 2_000_000
    max_rows: Count = 1000
    max_concurrency: Count = 100
    timeout_seconds: Seconds = 10.0
    grace_seconds: Seconds = 15.0
    prediction_log: Path | None = Path("logs/predictions")
    prediction_log_days: Count | None = None
    personal_key: SecretStr | None = None
    access_log: bool = True
    demo: bool = False

    @field_validator("api_keys", mode="before")
    @classmethod
    def _keys(cls, value: str | tuple[str, ...]) -> list[str]:
        parts = value.split(",") if isinstance(value, str) else value
        keys = [key for part in parts if (key := part.strip())]
        if not all(KEY.fullmatch(key) for key in keys):
            raise ValueError("a key is of 16 or more printable ASCII characters without spaces")
        return keys

    @field_validator("personal_key", mode="after")
    @classmethod
    def _long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not KEY.fullmatch(value.get_secret_value()):
            raise ValueError("the key is of 16 or more printable ASCII characters without spaces")
        return value

    @field_validator(
        *("shadow_folder", "commit", "prediction_log", "prediction_log_days", "personal_key"),
        mode="before",
    )
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return None if value == "" else value


def prefix(project: Project) -> str:
    """What the names of the settings begin with."""
    return f"{project.package.upper()}_"


def load(project: Project, **given: Any) -> Settings:
    """The settings; those given (not None) win over the environment, it over `.env`.

    Raises:
        UserError: naming each setting that is wrong or misspelt, and when there is no API key.
    """
    before = prefix(project)
    _refuse_misspelt(before)
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(_env_prefix=before, **chosen)  # type: ignore[call-arg]
    except ValidationError as error:
        faults = [
            {**fault, "loc": [f"{before}{fault['loc'][0]}".upper()]} for fault in error.errors()
        ]
        raise UserError(f"{sentences(faults)} (environment or .env)") from None
    if not settings.api_keys and not settings.demo:
        raise UserError(
            f"{before}API_KEYS is not set; set it to one or more keys with commas between, "
            "or try the service on this machine with --demo"
        )
    if not settings.api_keys and settings.host not in LOOPBACK:
        raise UserError(
            f"{before}HOST is {settings.host}, which others can reach; a demo without API keys "
            "listens on 127.0.0.1 only"
        )
    return settings


def _refuse_misspelt(before: str) -> None:
    """Names of ours that are nearly settings; what is quite different is for another program."""
    known = [name.upper() for name in Settings.model_fields]
    given = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE))}
    for name in sorted(name for name in given if name.startswith(before)):
        near = get_close_matches(name.removeprefix(before), known, 1, NEAR)
        if near and name != before + near[0]:
            raise UserError(f"{name} is not a setting; did you mean {before}{near[0]}?")
