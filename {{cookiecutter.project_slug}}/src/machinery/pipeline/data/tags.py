"""tags: what a feature says of itself in; the same function, marked with it, out."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def tag(**said: str) -> Callable[[Function], Function]:
    """Mark a function as a feature: `owner` answers for it, `unit` is what it is measured in.

    `encode` says of strings that are no plain category what models make of them: "text" uses their
    words, "target" the mean target of each, where there are too many for a column each.
    """

    def mark(function: Function) -> Function:
        vars(function)["tags"] = said
        return function

    return mark


def tags_of(function: Callable[..., Any]) -> Mapping[str, str]:
    """What the function was marked with; nothing when it is no feature."""
    return getattr(function, "tags", {})
