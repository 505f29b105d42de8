"""catalogue: features.py and the contract in; what each feature is, and its values, out."""

from collections.abc import Callable, Mapping, Sequence
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
    """One feature: its docstring, its owner, and the raw columns that it is made from.

    `unit` is empty where there is none, which its tag has to say; `encode` is empty of numbers and
    of plain categories. `parents` are the features and columns that its function takes, `columns`
    the columns behind them.
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
    """The functions of features.py in the order in which they can be computed.

    `features` are those asked for and those that they are made from; `inputs` names the columns of
    the contract behind them; `personal` the features that are made from a personal column, whose
    values no error shows.

    Raises:
        UserError: when a feature has the name of a column, lacks an owner, unit or docstring, is
            of no known type, is made from itself, or uses a column that is unknown at the moment of
            prediction; and for a name that features.py does not make.
    """

    def __init__(
        self, contract: Contract, module: ModuleType, names: Sequence[str] | None = None
    ) -> None:
        """Read the functions of `module`; of all features, or those behind the named ones."""
        self.contract = contract
        functions = _functions(module)
        self._refuse_names_of_columns(functions)
        self.names = sorted(functions) if names is None else list(names)
        parents = {name: self._parents(each, functions) for name, each in functions.items()}
        ordered = [name for name in _ordered(self.names, parents) if name in functions]
        self._steps = [(name, functions[name], parents[name]) for name in ordered]
        columns: dict[str, frozenset[str]] = {}
        for name in ordered:
            behind = (columns.get(each, frozenset([each])) for each in parents[name])
            columns[name] = frozenset[str]().union(*behind)
        self.inputs = sorted(frozenset[str]().union(*columns.values()))
        self._refuse_unknown_columns(columns)
        personal = {name for name in self.inputs if contract.columns[name].personal}
        self.personal = frozenset(name for name in ordered if columns[name] & personal)
        self._types: dict[str, Type] = {}
        with np.errstate(all="ignore"):
            row = self._run(example(contract, self.inputs))
        self._refuse_what_is_no_string({name: row[name] for name in ordered})
        self.features = {
            name: Feature(
                name,
                **_description(name, functions[name]),
                type=self._types[name],
                encode=_encoding(name, functions[name], self._types[name]),
                parents=tuple(sorted(parents[name])),
                columns=tuple(sorted(columns[name])),
            )
            for name in sorted(ordered)
        }

    def __call__(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The features asked for of each row, float32 or strings, from arrays as `columns` has.

        Raises:
            UserError: naming the feature that fails, or has not one value for each row, or values
                of another type than in the example that was tried first.
        """
        values = self._run(columns)
        return {name: values[name] for name in self.names}

    def compute(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """As a call does.

        Raises:
            UserError: naming a feature with an infinite value, or without a string, too.
        """
        values = self(columns)
        self._refuse_what_is_no_string(values)
        for name, column in values.items():
            if column.dtype.kind == "f" and (count := np.count_nonzero(np.isinf(column))):
                fault = f"{name} is infinite in {count} of {len(column)} rows"
                raise UserError(f"features.py: {fault}, as by a division by 0; make it NaN there")
        return values

    def _run(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        values, shape = dict(columns), (len(next(iter(columns.values()), ())),)
        for name, function, parents in self._steps:
            try:
                made = function(**{each: values[each] for each in parents})
            except Exception as error:
                why, cause = f"{type(error).__name__}{_line(function, error)}", None
                if name not in self.personal:
                    why, cause = f"{why}: {first_line(error)}", error
                raise UserError(f"features.py: {name} fails: {why}") from cause
            kind = _type(name, made)
            if np.shape(made) != shape:
                fault = f"{name} gives an array of shape {np.shape(made)}"
                raise UserError(
                    f"features.py: {fault} for {shape[0]} rows; give one value for each row"
                )
            if self._types.setdefault(name, kind) != kind:
                fault = f"{name} gives {kind} values here and {self._types[name]} for another row"
                raise UserError(f"features.py: {fault}; give one type always")
            values[name] = np.asarray(made)
        return values

    def _parents(self, function: Function, functions: Mapping[str, Function]) -> tuple[str, ...]:
        """What the function takes; a parameter with a default may be a constant."""
        known = functions.keys() | self.contract.columns.keys()
        parameters = signature(function).parameters
        return tuple(
            name
            for name, each in parameters.items()
            if each.default is Parameter.empty or name in known
        )

    def _refuse_what_is_no_string(self, values: Arrays) -> None:
        for name, column in values.items():
            if column.dtype.kind == "O":
                for value in column:
                    if not isinstance(value, str):
                        given = type(value).__name__ if name in self.personal else repr(value)
                        fault = f"{name} gives {given} among its strings"
                        raise UserError(f"features.py: {fault}; give strings, such as 'missing'")

    def _refuse_names_of_columns(self, functions: Mapping[str, Function]) -> None:
        """A feature would take the column's place in the feature table."""
        if taken := sorted(functions.keys() & self.contract.columns.keys()):
            reason = "which is the name of a column (contract.yaml)"
            raise UserError(f"features.py makes {taken[0]}, {reason}; give it another name")

    def _refuse_unknown_columns(self, columns: Mapping[str, frozenset[str]]) -> None:
        if constant := [name for name, behind in columns.items() if not behind]:
            raise UserError(f"features.py: {constant[0]} takes no column; take it out")
        for name in self.inputs:
            users = ", ".join(sorted(feature for feature in columns if name in columns[feature]))
            column = self.contract.columns.get(name)
            if column is None:
                why = "which contract.yaml does not describe"
            elif name == self.contract.target:
                why = "the target itself; leave it out"
            elif column.known == "after":
                why = (
                    "which is known only after the prediction is made (contract.yaml); leave it out"
                )
            else:
                continue
            raise UserError(f"features.py: {users} uses {name}, {why}")


def _functions(module: ModuleType) -> dict[str, Function]:
    """The public functions that the module defines, and those with a tag that it imports.

    And those in its FEATURES, by their names: a short form for many columns of one kind.
    """
    functions = {
        name: each
        for name, each in vars(module).items()
        if isfunction(each)
        and not name.startswith("_")
        and (tags_of(each) or each.__module__ == module.__name__)
    }
    return {**functions, **getattr(module, "FEATURES", {})}


def _ordered(names: Sequence[str], parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The features and all that they are made from, in an order in which they can be made."""
    for name in names:
        if name not in parents:
            known = ", ".join(sorted(parents))
            raise UserError(f"features.py makes no feature {name!r}; it makes {known}")
    graph: dict[str, Sequence[str]] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in graph:
            graph[name] = parents.get(name, ())
            waiting += graph[name]
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " from ".join(reversed(error.args[1]))
        raise UserError(f"features.py makes {circle}; no feature can be made from itself") from None


def _description(name: str, function: Function) -> dict[str, str]:
    tags = tags_of(function)
    owner, unit = tags.get("owner"), tags.get("unit")
    meaning = " ".join((function.__doc__ or "").split())
    if not owner or unit is None or not meaning:
        needed = 'a docstring and @tag(owner=..., unit=...), unit="" where there is none'
        raise UserError(f"features.py: {name} needs {needed} (the tag of tags.py)")
    return {"meaning": meaning, "owner": owner, "unit": unit}


def _encoding(name: str, function: Function, kind: Type) -> str:
    encode = tags_of(function).get("encode")
    if encode is not None and (kind != "string" or encode not in ENCODINGS):
        which = f"encode={encode!r}" if kind == "string" else "encode, but is a number"
        remedy = 'write encode="text" or encode="target" for strings, and none otherwise'
        raise UserError(f"features.py: the tag of {name} has {which}; {remedy}")
    return encode or ""


def _line(function: Function, error: Exception) -> str:
    """Where in the function's own file it happened."""
    steps = extract_tb(error.__traceback__)
    lines = [step.lineno for step in steps if step.filename == function.__code__.co_filename]
    return f" in line {lines[-1]}" if lines else ""


def _type(name: str, values: np.ndarray) -> Type:
    dtype = getattr(values, "dtype", type(values).__name__)
    if dtype == np.float32:
        return "float32"
    if getattr(dtype, "kind", "") in ("O", "U", "T"):
        return "string"
    raise UserError(f"features.py: {name} gives {dtype}; give float32 numbers or strings")


def page(catalogue: Catalogue) -> str:
    """The catalogue as Markdown: one line a feature, and the lineage as a Mermaid graph."""
    header = ["feature", "meaning", "unit", "type", "made from", "known", "owner"]
    rows = (
        [
            each.name,
            each.meaning,
            each.unit or "none",
            f"{each.type} ({each.encode})" if each.encode else each.type,
            ", ".join(each.columns),
            "before",
            each.owner,
        ]
        for each in catalogue.features.values()
    )
    version = catalogue.contract.version
    return f"""# Features

Made by `features.py` from the columns of `contract.yaml` (version {version}) that are known before
the prediction is made; it refuses all others.

{table(header, rows)}

## Lineage

```mermaid
{chr(10).join(_graph(catalogue))}
```
"""


def _graph(catalogue: Catalogue) -> list[str]:
    """Columns on the left, features on the right."""
    edges = [
        f"  {parent} --> feature_{feature.name}"
        if parent in catalogue.inputs
        else f"  feature_{parent} --> feature_{feature.name}"
        for feature in catalogue.features.values()
        for parent in feature.parents
    ]
    columns = [f'  {name}["{name}"]' for name in catalogue.inputs]
    features = [f'  feature_{name}(["{name}"])' for name in catalogue.features]
    return ["flowchart LR", *columns, *features, *edges]
