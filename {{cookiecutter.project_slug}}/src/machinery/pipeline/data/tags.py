"""tags: what a feature says of itself in; the same function, marked with it, out."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
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


def feature_of_each(
    columns: str, suffix: str, make: Callable[[Any], Any], **said: str
) -> dict[str, Callable[..., Any]]:
    """A feature COLUMN_SUFFIX for each column of a text, marked as `tag` does; `make` makes it."""

    def feature(column: str) -> Callable[..., Any]:
        @tag(**said)
        def made(**values: Any) -> Any:
            return make(values[column])

        made.__doc__ = f"The {suffix} of {column}, as {make.__name__.strip('_')} makes it."
        vars(made)["__signature__"] = Signature([Parameter(column, Parameter.KEYWORD_ONLY)])
        return made

    return {f"{column}_{suffix}": feature(column) for column in columns.split()}
