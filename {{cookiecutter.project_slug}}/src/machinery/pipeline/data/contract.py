"""The contract: the task, and the columns of the raw table, as contract.yaml describes them."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CONTRACT
from machinery.pipeline.validation import LIST_OR_RANGE, sentences

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Text = Annotated[str, Field(min_length=1)]
Value = bool | int | str

ADDED = ("prediction", "low", "high", "fold", "model_version", "bad_file", "bad_row", "bad_reason")


class Range(BaseModel):
    """The smallest and largest allowed value, both included; null leaves an end open."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    def __str__(self) -> str:
        """The range in words."""
        low = "any" if self.min is None else f"{self.min:g}"
        high = "any" if self.max is None else f"{self.max:g}"
        return f"{low} to {high}"


Allowed = Annotated[
    Annotated[list[Value], Tag("list")] | Annotated[Range, Tag("Range")],
    LIST_OR_RANGE,
]


class Column(BaseModel):
    """What a column is, who owns it, and when its value is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["string", "category", "integer", "number", "boolean", "datetime"]
    unit: str | None
    allowed: Allowed | None
    nullable: bool
    description: Text
    owner: Text
    known: Literal["before", "after"]
    identifier: bool = False
    personal: bool = False
    seasonal: bool = False

    @model_validator(mode="after")
    def _allowed_fits_the_type(self) -> Self:
        if self.type == "category" and not isinstance(self.allowed, list):
            raise ValueError("a category needs its values in 'allowed', as a list")
        if isinstance(self.allowed, Range) and self.type not in ("integer", "number"):
            raise ValueError("'allowed' with min and max is for an integer or a number")
        if self.allowed == []:
            raise ValueError("'allowed' is an empty list; name the values, or write null for any")
        values = self.allowed if isinstance(self.allowed, list) else []
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"'allowed' names {value} twice")
            if self.type in ("string", "category") and not isinstance(value, str):
                raise ValueError(f"'allowed' of a {self.type} has {value}, not a string; quote it")
        return self

    @property
    def dtype(self) -> Any:
        """The pandas dtype of the column in the pipeline's tables."""
        from pandas.api.types import pandas_dtype

        integer, boolean = ("Int64", "boolean") if self.nullable else ("int64", "bool")
        names = {"number": "float64", "datetime": "datetime64[us]"}
        names |= {"integer": integer, "boolean": boolean}
        return pandas_dtype(names.get(self.type, "str"))


class Contract(BaseModel):
    """The task, the roles of columns, and the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    task: Literal["classification", "regression"]
    target: str
    positive: Value | None = None
    key: str
    time: str | None
    group: str | None
    weight: str | None = None
    columns: dict[str, Column]

    @field_validator("key", mode="before")
    @classmethod
    def _rows_have_a_key(cls, key: Any) -> Any:
        if key is None:
            remedy = "name a column with unique values, or number the rows in source.py"
            raise ValueError(f"is null; {remedy}")
        return key

    @model_validator(mode="after")
    def _roles_fit_their_columns(self) -> Self:
        for role in ("target", "key", "time", "group", "weight"):
            name = getattr(self, role)
            if name is not None and name not in self.columns:
                raise ValueError(f"{role} names {name!r}, which columns does not describe")
        target = self.columns[self.target]
        kinds = {"classification": ("boolean", "category"), "regression": ("number", "integer")}
        if target.type not in kinds[self.task]:
            fitting = " or ".join(kinds[self.task])
            raise ValueError(f"the target {self.target} of a {self.task} must be a {fitting}")
        if target.known != "after" or target.nullable:
            raise ValueError(f"the target {self.target} must be known: after and nullable: false")
        if self.task == "classification" and len(self.classes) < 2:
            raise ValueError(f"the target {self.target} needs two classes or more in 'allowed'")
        self._require_positive(target)
        if self.time is not None and self.columns[self.time].type != "datetime":
            raise ValueError(f"the time column {self.time} must be a datetime")
        if self.weight is not None:
            self._require_weight(self.columns[self.weight])
        for name in (self.target, self.time):
            if name is not None and self.columns[name].personal:
                raise ValueError(f"{name} is personal, but reports show the target and the time")
        for name in self.row_columns:
            if self.columns[name].nullable:
                raise ValueError(f"{name} identifies rows, so it must be nullable: false")
        return self

    def _require_weight(self, column: Column) -> None:
        """A weight may be known only after the prediction, since only fits use it."""
        low = column.allowed.min if isinstance(column.allowed, Range) else None
        if self.weight == self.target or column.nullable or low is None or low < 0:
            fitting = "a number or integer, nullable: false, with 0 or more as min in 'allowed'"
            raise ValueError(f"the weight {self.weight} must be {fitting}, and not the target")

    def _require_positive(self, target: Column) -> None:
        """Two categories need a positive class, which recall and precision are about."""
        names = " or ".join(self.class_names)
        if len(self.classes) != 2:
            if self.positive is not None:
                raise ValueError("positive is for a target of two classes; remove it")
        elif self.positive is None and target.type == "category":
            raise ValueError(f"positive is missing; name the class of interest, {names}")
        elif self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive is {self.positive!r}, which is not {names}")

    @property
    def classes(self) -> list[Value]:
        """The classes in the order of their codes; the second of two is the positive one."""
        if self.task == "regression":
            return []
        allowed = self.columns[self.target].allowed
        classes: list[Value] = [*allowed] if isinstance(allowed, list) else [False, True]
        if len(classes) == 2 and self.positive is not None and classes[0] == self.positive:
            classes.reverse()
        return classes

    @property
    def positive_name(self) -> str | None:
        """The positive one of two classes, as text; None for any other target."""
        return self.class_names[1] if len(self.classes) == 2 else None

    @property
    def class_names(self) -> list[str]:
        """The classes as YAML writes them."""
        return [
            str(value).lower() if isinstance(value, bool) else str(value) for value in self.classes
        ]

    @property
    def row_columns(self) -> list[str]:
        """The columns that identify a row: the key, and the time and group if any."""
        return [name for name in (self.key, self.time, self.group) if name is not None]

    @property
    def carried(self) -> list[str]:
        """The columns stored beside the features: those, the target, and the weight if any."""
        return [*self.row_columns, self.target, *([self.weight] if self.weight else [])]

    @property
    def order(self) -> list[str]:
        """The columns by which every table is sorted."""
        return [self.key] if self.time is None else [self.time, self.key]

    def known_before(self) -> list[str]:
        """The columns whose values are known when the prediction is made."""
        return [name for name, column in self.columns.items() if column.known == "before"]

    def encode(self, target: "pd.Series[Any]") -> "np.ndarray":
        """Encode the target as class codes (int64), or as float64 values for a regression."""
        import numpy as np

        if self.task == "regression":
            return target.to_numpy(dtype=np.float64)
        codes = {value: code for code, value in enumerate(self.classes)}
        return target.map(codes).to_numpy(dtype=np.int64)

    def added(self, name: str) -> str:
        """The name of a column that the pipeline adds to those of the contract.

        All added names have the same number of trailing underscores, enough to be new.
        """
        names, suffix = [*ADDED], ""
        for class_name in self.class_names:
            names += [f"probability_{class_name}", f"in_set_{class_name}"]
        while any(added + suffix in self.columns for added in names):
            suffix += "_"
        return name + suffix

    def spread(self, prediction: "np.ndarray") -> "dict[str, np.ndarray]":
        """Split predictions into named columns: a probability for each class, or the value."""
        if self.task == "regression":
            return {self.added("prediction"): prediction}
        return dict(zip(self._probabilities(), prediction.T, strict=True))

    def gather(self, table: "pd.DataFrame") -> "np.ndarray":
        """Collect the predictions from the columns of `spread`: (n, classes), or (n,) values."""
        if self.task == "regression":
            return table[self.added("prediction")].to_numpy()
        return table[self._probabilities()].to_numpy()

    def _probabilities(self) -> list[str]:
        return [self.added(f"probability_{name}") for name in self.class_names]

    def require_classes(self, target: "pd.Series[Any]") -> None:
        """Raise UserError if training rows lack a class, or have a single number as target."""
        present = set(target.unique())
        if absent := [value for value in self.classes if value not in present]:
            fault, remedy = f"never {absent[0]}", "take the class out of contract.yaml"
        elif self.task == "regression" and len(present) < 2:
            fault, remedy = f"always {target.iloc[0]}", "name another target in contract.yaml"
        else:
            return
        raise UserError(
            f"{self.target} is {fault} in {len(target)} training rows; "
            f"widen the data window (ingest.until) or {remedy}"
        )


@cache
def load(path: Path = CONTRACT) -> Contract:
    """Read and validate the contract of a file, once."""
    return parse(read_yaml(path), path)


def parse(document: dict[str, Any], path: Path = CONTRACT) -> Contract:
    """Validate a contract document; UserError names every invalid key."""
    try:
        return Contract.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {sentences(error.errors())}") from None
