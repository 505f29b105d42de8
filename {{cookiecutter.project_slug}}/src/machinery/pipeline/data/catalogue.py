"""catalogue: features.py and the contract in; what each feature is, and its values, out."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.markdown import table
from .recipe import Arrays, Kind, kind, one_empty_row
from .tags import tags_of

if TYPE_CHECKING:
    import pandas as pd

TYPES = {"number": "float32", "string": "string"}


@dataclass(frozen=True)
class Feature:
    """One feature: its docstring, who answers for it, and the raw columns that it is made from.

    `unit` is empty where there is none, which its tag has to say.
    """

    name: str
    meaning: str
    owner: str
    unit: str
    kind: Kind
    parents: tuple[str, ...]
    inputs: tuple[str, ...]


class Catalogue:
    """The functions of features.py as a graph over the contract's columns.

    Raises:
        UserError: when a feature has the name of a column, lacks an owner, unit or docstring, is
            of no known type, or uses a column that is unknown at the moment of prediction.
    """

    def __init__(self, contract: Contract, module: ModuleType) -> None:
        self.contract = contract
        self._driver = _driver(module)
        nodes = {node.name: node for node in self._driver.list_available_variables()}
        made = {name: node for name, node in nodes.items() if not node.is_external_input}
        self.inputs = sorted(nodes.keys() - made.keys())
        self._refuse_names_of_columns(made)
        self._refuse_what_is_not_known()
        row = self.compute(one_empty_row(contract, self.inputs), list(made))
        self.features = {
            name: self._feature(node, kind(name, row[name])) for name, node in sorted(made.items())
        }

    def compute(self, table: "pd.DataFrame | Mapping[str, Any]", names: Sequence[str]) -> Arrays:
        """The named features of each row, as float32 or string arrays of the table's length.

        Raises:
            UserError: naming the feature that has not a value for each row, or an infinite one.
        """
        upstream = self._driver.what_is_upstream_of(*names)
        inputs = {
            node.name: as_array(table[node.name]) for node in upstream if node.is_external_input
        }
        values = dict(self._driver.execute(list(names), inputs=inputs))
        rows = len(next(iter(inputs.values()), ()))
        for name, column in values.items():
            if inputs and np.shape(column) != (rows,):
                found = f"{name} gives an array of shape {np.shape(column)} for {rows} rows"
                raise UserError(f"features.py: {found}; give one value for each row")
            if column.dtype.kind == "f" and (count := np.count_nonzero(np.isinf(column))):
                found = f"{name} is infinite in {count} of {len(column)} rows"
                raise UserError(f"features.py: {found}, as by a division by 0; make it NaN there")
        return values

    def _refuse_names_of_columns(self, names: Iterable[str]) -> None:
        """A feature would take the column's place in the feature table."""
        if taken := sorted(set(names) & self.contract.columns.keys()):
            reason = "which is the name of a column (contract.yaml)"
            raise UserError(f"features.py makes {taken[0]}, {reason}; give it another name")

    def _refuse_what_is_not_known(self) -> None:
        for name in self.inputs:
            users = self._users(name)
            column = self.contract.columns.get(name)
            if column is None:
                raise UserError(f"{users} uses {name}, which contract.yaml does not describe")
            if name == self.contract.target:
                raise UserError(f"{users} uses {name}, the target itself; leave it out")
            if column.known == "after":
                reason = "which is known only after the prediction is made (contract.yaml)"
                raise UserError(f"{users} uses {name}, {reason}; leave it out")

    def _users(self, name: str) -> str:
        below = self._driver.what_is_downstream_of(name)
        users = sorted(node.name for node in below if not node.is_external_input)
        return f"features.py: {', '.join(users)}"

    def _feature(self, node: Any, kind: Kind) -> Feature:
        upstream = self._driver.what_is_upstream_of(node.name)
        said = tags_of(node.originating_functions[0])
        owner, unit = said.get("owner"), said.get("unit")
        meaning = (node.documentation or "").strip()
        if not owner or unit is None or not meaning:
            needed = 'a docstring and @tag(owner=..., unit=...), unit="" where there is none'
            raise UserError(f"features.py: {node.name} needs {needed} (the tag of tags.py)")
        return Feature(
            name=node.name,
            meaning=" ".join(meaning.split()),
            owner=owner,
            unit=unit,
            kind=kind,
            parents=tuple(sorted(node.required_dependencies | node.optional_dependencies)),
            inputs=tuple(sorted(each.name for each in upstream if each.is_external_input)),
        )


def _driver(module: ModuleType) -> Any:
    """Hamilton's driver over the module.

    Hamilton reads its environment when it is first imported, and takes seconds more without this.
    """
    os.environ.setdefault("HAMILTON_AUTOLOAD_EXTENSIONS", "0")
    os.environ.setdefault("HAMILTON_TELEMETRY_ENABLED", "false")
    from hamilton.driver import Builder

    return Builder().with_modules(module).build()


def as_array(values: Any) -> np.ndarray:
    """A column as the features take it: text as objects, missing numbers as NaN."""
    if isinstance(values, np.ndarray):
        return values
    import pandas as pd

    if pd.api.types.is_string_dtype(values.dtype):
        return np.asarray(values, dtype=object)
    if pd.api.types.is_extension_array_dtype(values.dtype):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(values)


def listing(catalogue: Catalogue) -> list[dict[str, Any]]:
    """The catalogue for programs: what it is, and what it is made from, feature by feature."""
    return [
        {
            "name": each.name,
            "meaning": each.meaning,
            "unit": each.unit,
            "type": TYPES[each.kind],
            "owner": each.owner,
            "parents": each.parents,
            "columns": each.inputs,
        }
        for each in catalogue.features.values()
    ]


def page(catalogue: Catalogue) -> str:
    """The catalogue as Markdown: one line a feature, and the lineage as a Mermaid graph."""
    header = ["feature", "meaning", "unit", "type", "made from", "known", "owner"]
    rows = (
        [
            each.name,
            each.meaning,
            each.unit or "none",
            TYPES[each.kind],
            ", ".join(each.inputs),
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
    made = [f'  feature_{name}(["{name}"])' for name in catalogue.features]
    return ["flowchart LR", *columns, *made, *edges]
