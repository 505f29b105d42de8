"""Turn the errors of a pydantic ValidationError into sentences with the place and the fix."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Discriminator

# Of a field that is a list or a model with the tag Range: pydantic reports the errors of one alone.
LIST_OR_RANGE = Discriminator(lambda value: "list" if isinstance(value, list) else "Range")


def sentences(errors: Iterable[Mapping[str, Any]], section: str = "", kind: str = "key") -> str:
    """Join the errors, each with its path below the section of the file."""
    return "; ".join(_sentence(error, section, kind) for error in errors)


def _sentence(error: Mapping[str, Any], section: str, kind: str) -> str:
    steps = [section, *map(str, error["loc"])]
    path = ".".join(step for step in steps if step not in ("", "list", "Range"))  # tags of unions
    match error["type"]:
        case "missing":
            return f"{path} is missing; add it"
        case "extra_forbidden":
            return f"{path} is not a known {kind}; remove it or fix its name"
        case "timezone_naive":
            return f"{path} is {error['input']}; remove the time zone, as the data has none"
        case "value_error":
            return f"{path}: {error['ctx']['error']}".removeprefix(": ")
        case _:
            return f"{path} is {error['input']!r}; {error['msg'].lower()}"
