"""validation: what pydantic refuses in a file of the user's in; where, and what to do, out."""

from collections.abc import Iterable, Mapping
from typing import Any


def sentences(faults: Iterable[Mapping[str, Any]], section: str = "", what: str = "key") -> str:
    """The errors of a ValidationError, each with its place below the section of the file."""
    return "; ".join(_sentence(fault, section, what) for fault in faults)


def _sentence(fault: Mapping[str, Any], section: str, what: str) -> str:
    steps = (str(step) for step in fault["loc"])
    # Pydantic names the branch of a union, too.
    place = ".".join(step for step in (section, *steps) if step not in ("", "Range", "list"))
    match fault["type"]:
        case "missing":
            return f"{place} is missing; add it"
        case "extra_forbidden":
            return f"{place} is not a known {what}; remove it or fix its name"
        case "timezone_naive":
            return f"{place} is {fault['input']}; take the time zone off, as the data has none"
        case "value_error":
            return f"{place}: {fault['ctx']['error']}".removeprefix(": ")
        case _:
            return f"{place} is {fault['input']!r}; {fault['msg'].lower()}"
