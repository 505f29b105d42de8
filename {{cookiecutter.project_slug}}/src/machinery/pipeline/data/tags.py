"""Mark functions as features."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def tag(**tags: str) -> Callable[[Function], Function]:
    """Mark a function as a feature with an `owner` and a `unit`.

    `encode` is for strings that are not plain categories: "text" makes models use the words,
    "target" the mean target of each string, where there are too many for one-hot columns.
    """

    def mark(function: Function) -> Function:
        vars(function)["tags"] = tags
        return function

    return mark


def tags_of(function: Callable[..., Any]) -> Mapping[str, str]:
    """The function's tags; empty if it is not a feature."""
    return getattr(function, "tags", {})


def feature_of_each(
    columns: str, suffix: str, make: Callable[[Any], Any], **tags: str
) -> dict[str, Callable[..., Any]]:
    """A feature COLUMN_SUFFIX for each of the space-separated columns, computed by `make`."""

    def feature(column: str) -> Callable[..., Any]:
        @tag(**tags)
        def compute(**values: Any) -> Any:
            return make(values[column])

        compute.__doc__ = f"The {suffix} of {column}, as {make.__name__.strip('_')} makes it."
        vars(compute)["__signature__"] = Signature([Parameter(column, Parameter.KEYWORD_ONLY)])
        return compute

    return {f"{column}_{suffix}": feature(column) for column in columns.split()}
