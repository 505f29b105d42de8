"""Refuse an invalid answer with one sentence.

Answers are checked twice: by the filter below, which cookiecutter.json uses, before any folder is
created; and by the hook, for answers that cookiecutter replays from a record (`--replay`).
"""

import json
import keyword
import re
import sys
from typing import Any

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

QUESTIONS = ("project_name", "project_slug", "description", "author", "remote_url")
# What the project imports or runs; its own package and command must not shadow them.
RESERVED = """
    awslambdaric bokeh botocore check_jsonschema clevercsv cloudpickle codespell dask
    detect_secrets distributed dotenv dvc dvc_data dvc_s3 editables fsspec git gto hatchling
    httptools httpx hypothesis jinja2 lightgbm machinery mangum markupsafe
    matplotlib msgspec mypy nbstripout numpy onnx onnxmltools onnxruntime openpyxl optuna
    packaging pandas pandas_stubs pathspec pip pre_commit pre_commit_hooks prometheus_client
    protobuf pyarrow pydantic pydantic_settings pytest python pyyaml rich ruamel
    ruamel_yaml_clib ruff s3fs scikit_learn scipy scipy_stubs skl2onnx sklearn sqlalchemy
    starlette tests typer types_pyyaml uv uvicorn uvloop xgboost xgboost_cpu yaml yamllint
    zizmor
"""
MAX_SLUG_LENGTH = 50
FOLDER_OR_URL = re.compile(r"\.\./.+|~?/.+|[A-Za-z]:[\\/].+|\w+://.+")


def wrong_slug(slug: str) -> str:
    """What is wrong with the name of the package; empty if it is valid."""
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", slug):
        return "is not a lower-case Python identifier such as flight_delays"
    if len(slug) > MAX_SLUG_LENGTH:
        return f"is longer than {MAX_SLUG_LENGTH} characters"
    if keyword.iskeyword(slug):
        return "is a Python keyword"
    if slug in sys.stdlib_module_names:
        return "is a module of Python's standard library"
    return "is the name of something that the project uses" if slug in RESERVED.split() else ""


def wrong_text(text: str) -> str:
    """Why this text is not valid as one line of a file; empty if it is."""
    if not text.strip():
        return "is empty"
    for character in text:
        if not character.isprintable():
            return f"contains the character U+{ord(character):04X}, which is not printable"
    return ""


def wrong_remote(url: str) -> str:
    """Why DVC cannot use this remote; empty if it can."""
    if '"' in url or "%" in url:
        return "contains \" or %, which DVC's configuration cannot store"
    if FOLDER_OR_URL.fullmatch(url):
        return ""
    return "is neither s3://bucket/prefix nor a folder that begins with ../ or /"


def first_fault(answers: dict[str, Any]) -> str:
    """The first invalid answer, what is wrong and what to do; empty if all are valid."""
    # If the record is of an older template, cookiecutter asks only the new questions.
    for question in [name for name in QUESTIONS if name in answers]:
        answer = answers[question]
        if not isinstance(answer, str):
            return f"{question} is {json.dumps(answer)}, not text: choose another."
        fault = wrong_text(answer)
        if question == "project_slug":
            fault = wrong_slug(answer)
        elif question == "remote_url":
            fault = fault or wrong_remote(answer)
        if fault:
            return f"{question} {json.dumps(answer)} {fault}: choose another."
    return ""


def derived(answers: dict[str, str]) -> dict[str, str]:
    """The private variables, which cookiecutter.json derives from the answers."""

    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"')

    url = answers["remote_url"]
    return {
        "__fault": "",
        "__command": answers["project_slug"].replace("_", "-"),
        "__project_name_escaped": escaped(answers["project_name"]),
        "__description_escaped": escaped(answers["description"]),
        "__author_escaped": escaped(answers["author"]),
        "__remote_url_in_dvc_folder": f"../{url}" if url.startswith("../") else url,
    }


def wrong_private(answers: dict[str, str]) -> str:
    """Name a private variable that does not match the answers; empty if all match."""
    for name, value in derived(answers).items():
        if answers.get(name, value) != value:
            return f"{name} must be {json.dumps(value)} to match the answers: change the record."
    return ""


class Refused(SystemExit, FailedHookException):
    """Prints its message alone: cookiecutter catches the second base, cruft exits by the first."""


def refuse_first_fault(answers: dict[str, str]) -> str:
    """Stop cookiecutter at the first invalid answer; return "" if all are valid."""
    if fault := first_fault(answers):
        raise Refused(fault)
    return ""


class Answers(Extension):
    """Adds the filter for cookiecutter.json. Keep both names: cruft updates from older versions."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["refuse_first_fault"] = refuse_first_fault


if __name__ == "__main__":
    # Answers are data, never code: tojson writes ASCII and escapes every single quote and newline,
    # so no answer can end this raw string.
    answers = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    sys.exit(first_fault(answers) or wrong_private(answers) or None)
