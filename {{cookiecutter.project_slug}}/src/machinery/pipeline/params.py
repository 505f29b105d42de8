"""params: params.yaml in; one checked section for each stage out. Nothing has a hidden default."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NaiveDatetime,
    RootModel,
    Tag,
    ValidationError,
    model_validator,
)

from .files import UserError, read_yaml
from .paths import PARAMS
from .validation import sentences

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
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
    """`until` ends the data window (rows strictly before it); `source` goes to source.read."""

    until: Moment | None
    source: dict[str, Any]


class Validate(Section):
    """`window_days` is the newest window, compared with the reference window before it."""

    quarantine_limit: Annotated[float, Field(ge=0, lt=1)]
    window_days: Days
    level: Share


class Leakage(Section):
    """`limit` is for the score of one feature alone; `allow` is probe → column → reason."""

    limit: Annotated[float, Field(gt=0.5, le=1)]
    rows: Annotated[int, Field(ge=100)]
    allow: dict[str, dict[str, Annotated[str, Field(min_length=1)]]]


class Split(Section):
    """By time the last `test_days` are the test table; else `test_share` of the groups or rows."""

    by: Literal["time", "group", "stratified"]
    test_days: Days
    test_share: Share
    seed: Seed
    leakage: Leakage


class Featurize(Section):
    """`batch_rows` at a time are turned into features, which bounds the memory."""

    batch_rows: Count


class Parity(Section):
    """How many rows compare model file and pipeline, and the largest difference allowed."""

    rows: Count
    limit: Annotated[float, Field(gt=0)]


class Train(Section):
    """The candidates are all of `feature_sets` × `models`, both listed simplest first."""

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
        for key, names, described in (
            ("feature_sets", self.feature_sets, self.features),
            ("models", self.models, self.hyperparameters),
        ):
            absent = [name for name in names if name not in described]
            where = "features" if key == "feature_sets" else "hyperparameters"
            if absent:
                raise ValueError(f"{key} names {absent[0]}, which train.{where} does not describe")
        return self

    def candidates(self) -> list[str]:
        """The names of the candidates, simplest first: the model counts before the feature set."""
        return [f"{features}-{model}" for model in self.models for features in self.feature_sets]


class Threshold(Section):
    """How the threshold of two classes is found; `value` is a ratio of costs, or a recall."""

    rule: Literal["balanced_accuracy", "cost_ratio", "recall"]
    value: Annotated[float, Field(gt=0, le=1_000_000)] | None

    @model_validator(mode="after")
    def _value_fits_the_rule(self) -> Self:
        if (self.value is None) != (self.rule == "balanced_accuracy"):
            raise ValueError(f"value is {self.value}; give one for cost_ratio and recall alone")
        if self.rule == "recall" and self.value is not None and self.value > 1:
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
    """The headline metric decides; `coverage` is nominal, of prediction sets or intervals."""

    headline: str
    threshold: Threshold
    coverage: Share


class Importance(Section):
    """Permutation importance: on `rows` test rows, each feature shuffled `repeats` times."""

    rows: Count
    repeats: Count


class Evaluate(Section):
    """Bootstrap intervals of `level` over `samples`; slices below `slice_min_rows` are left out."""

    level: Share
    samples: Annotated[int, Field(ge=100, le=1_000_000)]
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
    """What only people can say of the model; the rest of the card comes from the run."""

    intended_use: str
    out_of_scope: str
    limits: list[str]


class Report(Section):
    """Paired bootstrap intervals of `level` over `samples`, of challenger minus champion.

    A difference of the headline metric below `relevant` does not matter, significant or not.
    """

    relevant: NotNegative

    level: Share
    samples: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Seed


Violation = Literal[
    "calibration", "headline", "coverage", "estimate", "quality", "skew", "freshness"
]


class Limits(Section):
    """Beyond which a window violates; of what has an interval, by the end that is nearer."""

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
    """`violated` of the last `windows`, the latest among them, by what `counts`."""

    counts: Annotated[list[Violation], Field(min_length=1)]
    windows: Annotated[int, Field(ge=1, le=1_000)]
    violated: Annotated[int, Field(ge=1, le=1_000)]
    cooldown_days: Annotated[int, Field(ge=0, le=36_500)]

    @model_validator(mode="after")
    def _so_many_can_be_violated(self) -> Self:
        if self.violated > self.windows:
            raise ValueError(f"violated is {self.violated}, more than windows ({self.windows})")
        return self


class Monitor(Section):
    """What `monitor` says of the prediction log, window by window, and when to retrain."""

    window: Literal["day", "week", "month"]
    min_rows: Count
    level: Share
    sample_rows: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Seed
    limits: Limits
    retrain: Retrain


def _number(given: Any) -> Any:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"{given!r} is not a number")
    return given


class Numbers(Section):
    """A range to search, both ends included; of whole numbers where both ends are."""

    low: Annotated[Any, AfterValidator(_number)]
    high: Annotated[Any, AfterValidator(_number)]
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            of = " of logarithms" if self.log else ""
            raise ValueError(f"{self.low} to {self.high} is not a range{of}")
        return self


Values = Annotated[
    Annotated[list[Any], Field(min_length=2), Tag("list")] | Annotated[Numbers, Tag("Range")],
    Discriminator(lambda given: "list" if isinstance(given, list) else "Range"),
]


class Search(RootModel[dict[str, dict[str, Values]]]):
    """Of a model the hyperparameters to search: a range of each, or a list of values."""


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
    """The section of params.yaml that bears the class's name in lower case."""
    return parse(section, read_yaml(PARAMS))


def parse(section: type[S], document: Mapping[str, Any]) -> S:
    """Check one section of a params document.

    Raises:
        UserError: naming every wrong place.
    """
    name = section.__name__.lower()
    if name not in document:
        raise UserError(f"{PARAMS}: section '{name}' is missing; restore it with git checkout")
    try:
        return section.model_validate(document[name] or {})
    except ValidationError as error:
        faults = sentences(error.errors(), name, "parameter")
        raise UserError(f"{PARAMS}: {faults}") from None
