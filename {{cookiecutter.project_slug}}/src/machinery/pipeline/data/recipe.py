"""recipe: features.py and names of features in; one function that makes them of arrays, out.

The functions that Hamilton runs in the pipeline, called in their order. On one row, Hamilton's plan
would cost ten times what the features do, and it brings pandas along: a quarter of what a worker of
the service takes. A test holds what both make against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction, signature
from types import ModuleType
from typing import Any, Literal

import numpy as np

from .contract import Contract
from machinery.pipeline.files import UserError
from .tags import tags_of

Arrays = dict[str, np.ndarray]
Kind = Literal["number", "string"]


class Recipe:
    """The named features of `module`; `columns` are those behind them.

    Raises:
        UserError: naming the feature that features.py does not make.
    """

    def __init__(self, names: Sequence[str], module: ModuleType) -> None:
        self.names = names
        found = vars(module).items()
        made = {name: each for name, each in found if isfunction(each) and tags_of(each)}
        for name in names:
            if name not in made:
                known = ", ".join(sorted(made))
                raise UserError(f"features.py makes no feature {name!r}; it makes {known}")
        self._steps = _steps(names, made)
        self.columns = sorted(
            {each for _, inputs in self._steps.values() for each in inputs} - self._steps.keys()
        )

    def __call__(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The features of each row, float32 or strings, of the columns' length."""
        values = dict(columns)
        for name, (function, inputs) in self._steps.items():
            values[name] = function(**{each: values[each] for each in inputs})
        return {name: values[name] for name in self.names}

    def kinds(self, contract: Contract) -> dict[str, Kind]:
        """The kind of each feature.

        Raises:
            UserError: naming the column that is not known before the prediction.
        """
        if unknown := sorted({*self.columns} - {*contract.known_before()}):
            raise UserError(
                f"features.py uses {unknown[0]}, which contract.yaml does not know before the "
                "prediction; run 'dvc repro', or take both from one version"
            )
        row = self(one_empty_row(contract, self.columns))
        return {name: kind(name, values) for name, values in row.items()}


def _steps(
    names: Sequence[str], made: Mapping[str, Callable[..., Any]]
) -> dict[str, tuple[Callable[..., Any], tuple[str, ...]]]:
    """Each feature behind the named ones after what it is made from: its function, its inputs."""
    steps = {}

    def add(name: str) -> None:
        if name in made and name not in steps:
            inputs = tuple(signature(made[name]).parameters)
            for each in inputs:
                add(each)
            steps[name] = made[name], inputs

    for name in names:
        add(name)
    return steps


def one_empty_row(contract: Contract, names: Sequence[str]) -> Arrays:
    """A row with nothing in it, from which the features show their types."""
    empty = {
        "string": np.array([None], dtype=object),
        "category": np.array([None], dtype=object),
        "datetime": np.array(["NaT"], dtype="datetime64[us]"),
    }
    number = np.array([np.nan])
    return {name: empty.get(contract.columns[name].type, number) for name in names}


def kind(name: str, values: np.ndarray) -> Kind:
    """The kind of a feature's values.

    Raises:
        UserError: when they are of none.
    """
    if values.dtype == np.float32:
        return "number"
    if values.dtype.kind in "OUT":
        return "string"
    raise UserError(f"features.py: {name} gives {values.dtype}; give float32 numbers or strings")
