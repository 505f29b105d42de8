"""contract: contract.yaml in; the task, and what each column is, out."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CONTRACT
from machinery.pipeline.validation import sentences

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Text = Annotated[str, Field(min_length=1)]
Value = bool | int | str

ADDED = ("prediction", "low", "high", "fold", "model_version", "bad_file", "bad_row", "bad_reason")


class Range(BaseModel):
    """The smallest and the largest value allowed, both included; null leaves an end open."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_value_is_allowed(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    def __str__(self) -> str:
        """Both ends in words."""
        low = "any" if self.min is None else f"{self.min:g}"
        high = "any" if self.max is None else f"{self.max:g}"
        return f"{low} to {high}"


Allowed = Annotated[
    Annotated[list[Value], Tag("list")] | Annotated[Range, Tag("Range")],
    Discriminator(lambda given: "list" if isinstance(given, list) else "Range"),
]


def _refuse_wrong_values(allowed: list[Value], kind: str) -> None:
    if not allowed:
        raise ValueError("'allowed' is an empty list; name the values, or write null for any")
    if repeated := [value for value in allowed if allowed.count(value) > 1]:
        raise ValueError(f"'allowed' names {repeated[0]} twice")
    texts = [value for value in allowed if not isinstance(value, str)]
    if kind in ("string", "category") and texts:
        raise ValueError(f"'allowed' of a {kind} holds {texts[0]}, which is no text; quote it")


class Column(BaseModel):
    """One line of the catalogue: what the column is, who owns it, when it is known."""

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
        if isinstance(self.allowed, list):
            _refuse_wrong_values(self.allowed, self.type)
        if isinstance(self.allowed, Range) and self.type not in ("integer", "number"):
            raise ValueError("'allowed' with min and max is for an integer or a number")
        return self

    @property
    def dtype(self) -> Any:
        """The pandas dtype of the column in the pipeline's tables."""
        import numpy as np
        import pandas as pd

        return {
            "string": pd.StringDtype(na_value=np.nan),
            "category": pd.StringDtype(na_value=np.nan),
            "integer": pd.Int64Dtype() if self.nullable else np.dtype("int64"),
            "number": np.dtype("float64"),
            "boolean": pd.BooleanDtype() if self.nullable else np.dtype("bool"),
            "datetime": np.dtype("datetime64[us]"),
        }[self.type]


class Contract(BaseModel):
    """The task and its columns, as contract.yaml tells them."""

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
            remedy = "name a column that no two rows share, or number the rows in source.py"
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
                raise ValueError(f"{name} tells rows apart, so it must be nullable: false")
        return self

    def _require_weight(self, column: Column) -> None:
        """A weight may be known after the prediction: only fits use it."""
        least = column.allowed.min if isinstance(column.allowed, Range) else None
        if self.weight == self.target or column.nullable or least is None or least < 0:
            fitting = "a number or integer, nullable: false, with 0 or more as min in 'allowed'"
            raise ValueError(f"the weight {self.weight} must be {fitting}, and not the target")

    def _require_positive(self, target: Column) -> None:
        """Recall is of one class of two: whoever knows the table says of which."""
        names = " or ".join(self.class_names)
        if len(self.classes) != 2:
            if self.positive is not None:
                raise ValueError("positive is for a target of two classes; take it out")
        elif self.positive is None and target.type == "category":
            raise ValueError(f"positive is missing; name the class to look for, {names}")
        elif self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"positive is {self.positive!r}, which is not {names}")

    @property
    def classes(self) -> list[Value]:
        """The classes in the order of their codes; the last of two is positive."""
        target = self.columns[self.target]
        if self.task == "regression":
            return []
        classes: list[Value] = [False, True]
        if isinstance(target.allowed, list):
            classes = list(target.allowed)
        if len(classes) == 2 and self.positive is not None and classes[0] == self.positive:
            classes.reverse()
        return classes

    @property
    def positive_name(self) -> str | None:
        """Of two classes the one that recall, precision and the threshold are about, as text."""
        return self.class_names[1] if len(self.classes) == 2 else None

    @property
    def class_names(self) -> list[str]:
        """The classes as text, as YAML writes them."""
        return [
            str(value).lower() if isinstance(value, bool) else str(value) for value in self.classes
        ]

    @property
    def row_columns(self) -> list[str]:
        """The columns that tell which row it is: the key, and the time and group if there are."""
        return [name for name in (self.key, self.time, self.group) if name is not None]

    @property
    def carried(self) -> list[str]:
        """The columns that stand beside the features: those, the target, and the weight if any."""
        return [*self.row_columns, self.target, *([self.weight] if self.weight else [])]

    @property
    def order(self) -> list[str]:
        """The columns that every table is sorted by."""
        return [self.key] if self.time is None else [self.time, self.key]

    def known_before(self) -> list[str]:
        """The columns whose values are known when the prediction is made."""
        return [name for name, column in self.columns.items() if column.known == "before"]

    def encode(self, target: "pd.Series[Any]") -> "np.ndarray":
        """The target as class codes (int64), or as float64 values for a regression."""
        import numpy as np

        if self.task == "regression":
            return target.to_numpy(dtype=np.float64)
        codes = {value: code for code, value in enumerate(self.classes)}
        return target.map(codes).to_numpy(dtype=np.int64)

    def added(self, name: str) -> str:
        """The name of a column that is added to those of the contract.

        Underscores follow it, the same number on all of them, until the contract has none of them.
        """
        by_class = (f"{of}_{each}" for each in self.class_names for of in ("probability", "in_set"))
        names, end = [*ADDED, *by_class], ""
        while any(each + end in self.columns for each in names):
            end += "_"
        return name + end

    def spread(self, prediction: "np.ndarray") -> "dict[str, np.ndarray]":
        """Predictions as named columns: a probability for each class, or the value."""
        if self.task == "regression":
            return {self.added("prediction"): prediction}
        return dict(zip(self._probabilities(), prediction.T, strict=True))

    def gather(self, table: "pd.DataFrame") -> "np.ndarray":
        """The predictions that `spread` put into the table: (n, classes), or (n,) values."""
        if self.task == "regression":
            return table[self.added("prediction")].to_numpy()
        return table[self._probabilities()].to_numpy()

    def _probabilities(self) -> list[str]:
        return [self.added(f"probability_{name}") for name in self.class_names]

    def require_classes(self, target: "pd.Series[Any]") -> None:
        """Refuse to learn from rows in which a class never occurs, or a number never changes.

        Raises:
            UserError: naming the target and its absent class, or its only value.
        """
        present = set(target.unique())
        if self.task == "regression" and len(present) < 2:
            only = ", ".join(map(str, present))
            raise UserError(
                f"{self.target} is always {only} in {len(target)} training rows; "
                "widen the data window (ingest.until) or name another target in contract.yaml"
            )
        absent = [value for value in self.classes if value not in present]
        if absent:
            raise UserError(
                f"{self.target} is never {absent[0]} in {len(target)} training rows; "
                "widen the data window (ingest.until) or take the class out of contract.yaml"
            )


@cache
def load(path: Path = CONTRACT) -> Contract:
    """The contract in the file; every fault in it is told in one sentence."""
    return parse(read_yaml(path), path)


def parse(document: dict[str, Any], path: Path = CONTRACT) -> Contract:
    """Check a contract document.

    Raises:
        UserError: naming each wrong place in the file.
    """
    try:
        return Contract.model_validate(document)
    except ValidationError as error:
        raise UserError(f"{path}: {sentences(error.errors())}") from None
