"""The features that a project's features.py defines: what they are, and their values."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from inspect import Parameter, isfunction, signature
from traceback import extract_tb
from types import ModuleType
from typing import Literal

import numpy as np

from machinery.pipeline.files import UserError, first_line
from machinery.pipeline.markdown import table

from .columns import Arrays, example
from .contract import Contract
from .tags import tags_of

Type = Literal["float32", "string"]
ENCODINGS = "text", "target"
Function = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Feature:
    """A feature and its lineage.

    `unit` is empty if there is none; `encode` is empty for numbers and plain categories. `parents`
    are the features and columns that its function takes, `columns` all columns behind them.
    """

    name: str
    meaning: str
    unit: str
    type: Type
    encode: str
    owner: str
    parents: tuple[str, ...]
    columns: tuple[str, ...]


class Catalogue:
    """The functions of features.py in an order in which they can be computed.

    `features` are the requested ones and all that they depend on, `inputs` the columns of the
    contract behind them, and `personal` the features that depend on a personal column; errors do
    not show their values.

    Raises:
        UserError: if a feature has the name of a column, lacks an owner, unit or docstring, has
            another type than float32 or string, depends on itself, or uses a column that is
            unknown at prediction time; or if a requested feature does not exist.
    """

    def __init__(
        self, contract: Contract, module: ModuleType, names: Sequence[str] | None = None
    ) -> None:
        """Read the functions of `module`: all features, or those needed for the named ones."""
        self.contract = contract
        functions = _functions(module)
        if shadowed := sorted(functions.keys() & contract.columns.keys()):
            fault = f"{shadowed[0]} has the name of a column (contract.yaml)"
            raise UserError(f"features.py: {fault}; give it another name")
        self.names = sorted(functions) if names is None else list(names)
        names_in_scope = functions.keys() | contract.columns.keys()
        parents = {name: _parents(function, names_in_scope) for name, function in functions.items()}
        ordered = _ordered(self.names, parents)
        self._steps = [(name, functions[name], parents[name]) for name in ordered]
        columns: dict[str, set[str]] = {}
        for name in ordered:
            columns[name] = set().union(*(columns.get(p, {p}) for p in parents[name]))
        self.inputs = sorted(set().union(*columns.values()))
        self._check_columns(columns)
        personal = {name for name in self.inputs if contract.columns[name].personal}
        self.personal = frozenset(name for name in ordered if columns[name] & personal)
        self._types: dict[str, Type] = {}
        with np.errstate(all="ignore"):
            row = self._run(example(contract, self.inputs))
        self._check_strings({name: row[name] for name in ordered})
        self.features = {
            name: _feature(name, functions[name], self._types[name], parents[name], columns[name])
            for name in sorted(ordered)
        }

    def __call__(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The requested features, float32 or strings, from arrays as `columns` makes them.

        Raises UserError for a feature that fails, has another type than for the example row, or
        has not one value for each row.
        """
        values = self._run(columns)
        return {name: values[name] for name in self.names}

    def compute(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The requested features; UserError for infinite values and non-strings, too."""
        values = self(columns)
        self._check_strings(values)
        for name, column in values.items():
            if column.dtype.kind == "f" and (count := np.count_nonzero(np.isinf(column))):
                fault = f"{name} is infinite in {count} of {len(column)} rows"
                raise UserError(f"features.py: {fault}, as by a division by 0; make it NaN there")
        return values

    def _run(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        values, shape = dict(columns), (len(next(iter(columns.values()), ())),)
        for name, function, parents in self._steps:
            try:
                array = function(**{parent: values[parent] for parent in parents})
            except Exception as error:
                details, cause = "", None
                if name not in self.personal:
                    details, cause = f": {first_line(error)}", error
                place = f"{type(error).__name__}{_line(function, error)}"
                raise UserError(f"features.py: {name} fails: {place}{details}") from cause
            kind = _type(name, array)
            if np.shape(array) != shape:
                fault = f"{name} gives an array of shape {np.shape(array)} for {shape[0]} rows"
                raise UserError(f"features.py: {fault}; give one value for each row")
            if self._types.setdefault(name, kind) != kind:
                fault = f"{name} gives {kind} values here and {self._types[name]} for another row"
                raise UserError(f"features.py: {fault}; give one type always")
            values[name] = np.asarray(array)
        return values

    def _check_strings(self, values: Arrays) -> None:
        for name, column in values.items():
            for value in column if column.dtype.kind == "O" else ():
                if not isinstance(value, str):
                    shown = type(value).__name__ if name in self.personal else repr(value)
                    fault = f"{name} gives {shown} among its strings"
                    raise UserError(f"features.py: {fault}; give strings, such as 'missing'")

    def _check_columns(self, columns: Mapping[str, set[str]]) -> None:
        if constant := [name for name, behind in columns.items() if not behind]:
            raise UserError(f"features.py: {constant[0]} takes no column; remove it")
        for name in self.inputs:
            column = self.contract.columns.get(name)
            if column is None:
                fault = "which contract.yaml does not describe"
            elif name == self.contract.target:
                fault = "the target itself; leave it out"
            elif column.known == "after":
                fault = "which is known only after the prediction (contract.yaml); leave it out"
            else:
                continue
            users = ", ".join(sorted(feature for feature in columns if name in columns[feature]))
            raise UserError(f"features.py: {users} uses {name}, {fault}")


def _functions(module: ModuleType) -> dict[str, Function]:
    """The module's own public functions, the tagged ones that it imports, and its FEATURES."""
    functions = {
        name: function
        for name, function in vars(module).items()
        if isfunction(function)
        and not name.startswith("_")
        and (tags_of(function) or function.__module__ == module.__name__)
    }
    return {**functions, **getattr(module, "FEATURES", {})}


def _parents(function: Function, names: Container[str]) -> tuple[str, ...]:
    """The function's parameters; one with a default may be a constant."""
    return tuple(
        name
        for name, parameter in signature(function).parameters.items()
        if parameter.default is Parameter.empty or name in names
    )


def _ordered(names: Sequence[str], parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The named features and those that they depend on, parents first."""
    if absent := [name for name in names if name not in parents]:
        features = ", ".join(sorted(parents))
        raise UserError(f"features.py has no feature {absent[0]!r}; it has {features}")
    try:
        order = [name for name in TopologicalSorter(parents).static_order() if name in parents]
    except CycleError as error:
        cycle = " → ".join(error.args[1])
        raise UserError(f"features.py has a cycle of features, {cycle}; break it") from None
    needed = set(names)
    for name in reversed(order):
        if name in needed:
            needed.update(parents[name])
    return [name for name in order if name in needed]


def _feature(
    name: str, function: Function, kind: Type, parents: Iterable[str], columns: Iterable[str]
) -> Feature:
    """Describe the feature by its docstring and tag."""
    tags = tags_of(function)
    owner, unit, encode = tags.get("owner"), tags.get("unit"), tags.get("encode")
    meaning = " ".join((function.__doc__ or "").split())
    if not owner or unit is None or not meaning:
        needed = 'a docstring and @tag(owner=..., unit=...), unit="" if there is none'
        raise UserError(f"features.py: {name} needs {needed} (the tag of tags.py)")
    if encode is not None and (kind != "string" or encode not in ENCODINGS):
        fault = f"encode={encode!r}" if kind == "string" else "encode, but is a number"
        remedy = 'write encode="text" or encode="target" for strings, and none otherwise'
        raise UserError(f"features.py: the tag of {name} has {fault}; {remedy}")
    lineage = tuple(sorted(parents)), tuple(sorted(columns))
    return Feature(name, meaning, unit, kind, encode or "", owner, *lineage)


def _line(function: Function, error: Exception) -> str:
    """The line of the function's own file in which the error occurred."""
    frames = extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == function.__code__.co_filename]
    return f" in line {lines[-1]}" if lines else ""


def _type(name: str, values: np.ndarray) -> Type:
    dtype = getattr(values, "dtype", type(values).__name__)
    if dtype == np.float32:
        return "float32"
    if getattr(dtype, "kind", "") in ("O", "U", "T"):
        return "string"
    raise UserError(f"features.py: {name} gives {dtype}; give float32 numbers or strings")


def page(catalogue: Catalogue) -> str:
    """The catalogue as Markdown: a table of the features, and their lineage as a Mermaid graph."""
    header = ["feature", "meaning", "unit", "type", "made from", "known", "owner"]
    rows = []
    for feature in catalogue.features.values():
        kind = f"{feature.type} ({feature.encode})" if feature.encode else feature.type
        about = [feature.name, feature.meaning, feature.unit or "none", kind]
        rows.append([*about, ", ".join(feature.columns), "before", feature.owner])
    return f"""# Features

Made by `features.py` from columns of `contract.yaml` (version {catalogue.contract.version}) that
are known before the prediction; all other columns are refused.

{table(header, rows)}

## Lineage

```mermaid
{_graph(catalogue)}
```
"""


def _graph(catalogue: Catalogue) -> str:
    """Columns on the left, features on the right."""
    lines = ["flowchart LR"]
    lines += [f'  {name}["{name}"]' for name in catalogue.inputs]
    lines += [f'  feature_{name}(["{name}"])' for name in catalogue.features]
    for feature in catalogue.features.values():
        for parent in feature.parents:
            prefix = "" if parent in catalogue.inputs else "feature_"
            lines.append(f"  {prefix}{parent} --> feature_{feature.name}")
    return "\n".join(lines)
