"""The sections of params.yaml, one for each stage. No parameter has a hidden default."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    RootModel,
    Tag,
    ValidationError,
    model_validator,
)

from .files import UserError, read_yaml
from .paths import PARAMS
from .validation import LIST_OR_RANGE, sentences

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Samples = Annotated[int, Field(ge=100, le=1_000_000)]
Few = Annotated[int, Field(ge=2, le=1_000)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Moment = Annotated[NaiveDatetime, Field(ge=datetime(1900, 1, 1))]
NotNegative = Annotated[float, Field(ge=0)]
Part = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """One section of params.yaml: every key is required, and no other is allowed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


class Ingest(Section):
    """`until` ends the data window, exclusively; `source` is passed to `source.read`."""

    until: Moment | None
    source: dict[str, Any]


class Validate(Section):
    """The newest `window_days` are compared with the reference window before them."""

    quarantine_limit: Annotated[float, Field(ge=0, lt=1)]
    window_days: Days
    level: Share


class Leakage(Section):
    """`limit` is the highest score of a single feature; `allow` is probe → column → reason."""

    limit: Annotated[float, Field(gt=0.5, le=1)]
    rows: Annotated[int, Field(ge=100)]
    allow: dict[str, dict[str, Annotated[str, Field(min_length=1)]]]


class Split(Section):
    """The test table: the last `test_days`, or else `test_share` of the groups or rows."""

    by: Literal["time", "group", "stratified"]
    test_days: Days
    test_share: Share
    seed: Seed
    leakage: Leakage


class Featurize(Section):
    """Features are computed for `batch_rows` at a time, which bounds the memory."""

    batch_rows: Count


class Parity(Section):
    """How many rows compare model file and pipeline, and the largest allowed difference."""

    rows: Count
    limit: Annotated[float, Field(gt=0)]


class Train(Section):
    """The candidates are `feature_sets` × `models`, both listed simplest first."""

    feature_sets: Annotated[list[str], Field(min_length=1)]
    models: Annotated[list[str], Field(min_length=1)]
    features: dict[str, Annotated[list[str], Field(min_length=1)]]
    hyperparameters: dict[str, dict[str, Any]]
    folds: Few
    max_rows: Count | None = None
    seed: Seed
    parity: Parity

    @model_validator(mode="after")
    def _every_name_is_described(self) -> Self:
        for key, section in (("feature_sets", "features"), ("models", "hyperparameters")):
            for name in getattr(self, key):
                if name not in getattr(self, section):
                    raise ValueError(f"{key} names {name}, which train.{section} does not describe")
        return self

    def candidates(self) -> list[str]:
        """The names of the candidates, simplest first: the model counts before the feature set."""
        return [f"{features}-{model}" for model in self.models for features in self.feature_sets]


class Threshold(Section):
    """How the threshold of two classes is chosen; `value` is a ratio of costs, or a recall."""

    rule: Literal["balanced_accuracy", "cost_ratio", "recall"]
    value: Annotated[float, Field(gt=0, le=1_000_000)] | None

    @model_validator(mode="after")
    def _value_fits_the_rule(self) -> Self:
        if (self.value is None) != (self.rule == "balanced_accuracy"):
            raise ValueError(f"value is {self.value}; set it for cost_ratio and recall, else null")
        if self.rule == "recall" and self.value and self.value > 1:
            raise ValueError(f"value is {self.value:g}; a recall is at most 1")
        return self

    def __str__(self) -> str:
        """The rule in words."""
        return {
            "balanced_accuracy": "highest balanced accuracy",
            "cost_ratio": f"least cost, a missed positive costing {self.value} false ones",
            "recall": f"highest with a recall of {self.value}",
        }[self.rule]


class Select(Section):
    """`headline` is the deciding metric; `coverage` is that of prediction sets or intervals."""

    headline: str
    threshold: Threshold
    coverage: Share


class Importance(Section):
    """Permutation importance: each feature is shuffled `repeats` times in `rows` test rows."""

    rows: Count
    repeats: Count


class Evaluate(Section):
    """Bootstrap intervals of `level` over `samples`; slices need `slice_min_rows`."""

    level: Share
    samples: Samples
    seed: Seed
    slices: list[str]
    slice_min_rows: Count
    bins: Few
    importance: Importance


class Gate(Section):
    """The limits of the named checks in reports/gate.json."""

    floor: float
    calibration: NotNegative
    coverage_margin: NotNegative
    worst_slice: float
    parity: NotNegative
    model_megabytes: NotNegative
    leakage_exceptions: Annotated[int, Field(ge=0)]
    quarantined: NotNegative
    missing_rise: NotNegative
    share_shift: NotNegative
    max_age_days: NotNegative


class Card(Section):
    """What only people know about the model; everything else on the card comes from the run."""

    intended_use: str
    out_of_scope: str
    limits: list[str]


class Report(Section):
    """Paired bootstrap intervals of `level` over `samples`, of challenger minus champion.

    A difference in the headline metric below `relevant` is ignored, even if significant.
    """

    relevant: NotNegative
    level: Share
    samples: Samples
    seed: Seed


Violation = Literal[
    "calibration", "headline", "coverage", "estimate", "quality", "skew", "freshness"
]


class Limits(Section):
    """Limits for a window; an interval violates one only if it lies beyond it entirely."""

    calibration: NotNegative
    headline: NotNegative
    coverage: NotNegative
    estimate: NotNegative
    quality: Part
    volume: Part
    skew: Part
    model_age_days: NotNegative
    data_age_days: NotNegative


class Retrain(Section):
    """Retrain if `violated` of the last `windows`, including the latest, violate what `counts`."""

    counts: Annotated[list[Violation], Field(min_length=1)]
    windows: Annotated[int, Field(ge=1, le=1_000)]
    violated: Annotated[int, Field(ge=1, le=1_000)]
    cooldown_days: Annotated[int, Field(ge=0, le=36_500)]

    @model_validator(mode="after")
    def _enough_windows(self) -> Self:
        if self.violated > self.windows:
            raise ValueError(f"violated is {self.violated}, more than windows ({self.windows})")
        return self


class Monitor(Section):
    """How `monitor` reads the prediction log, window by window, and when to retrain."""

    window: Literal["day", "week", "month"]
    min_rows: Count
    level: Share
    sample_rows: Samples
    seed: Seed
    limits: Limits
    retrain: Retrain


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return value


class Numbers(Section):
    """A range to search, both ends included; of integers if both ends are."""

    low: Annotated[Any, AfterValidator(_number)]
    high: Annotated[Any, AfterValidator(_number)]
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            kind = " of logarithms" if self.log else ""
            raise ValueError(f"{self.low} to {self.high} is not a range{kind}")
        return self


Values = Annotated[
    Annotated[list[Any], Field(min_length=2), Tag("list")] | Annotated[Numbers, Tag("Range")],
    LIST_OR_RANGE,
]


class Search(RootModel[dict[str, dict[str, Values]]]):
    """The search space: model → hyperparameter → a range, or a list of values."""


S = TypeVar("S", bound=BaseModel)
SECTIONS: tuple[type[BaseModel], ...] = (
    Ingest,
    Validate,
    Split,
    Featurize,
    Train,
    Select,
    Evaluate,
    Gate,
    Card,
    Report,
    Monitor,
    Search,
)


def load(section: type[S]) -> S:
    """Read the section of params.yaml that has the class's name in lower case."""
    return parse(section, read_yaml(PARAMS))


def parse(section: type[S], document: Mapping[str, Any]) -> S:
    """Validate one section of a params document; UserError names every invalid parameter."""
    name = section.__name__.lower()
    if name not in document:
        raise UserError(f"{PARAMS}: section '{name}' is missing; restore it with git checkout")
    try:
        return section.model_validate(document[name] or {})
    except ValidationError as error:
        faults = sentences(error.errors(), name, "parameter")
        raise UserError(f"{PARAMS}: {faults}") from None
