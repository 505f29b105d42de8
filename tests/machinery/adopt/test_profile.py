"""Roles, types, ranges and leaks are guessed as the table's owner would, and reported."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from machinery.adopt.plan import Plan, Type, TypedColumn
from machinery.adopt.profile import plan
from machinery.pipeline.files import UserError

ROWS = 200
RANDOM = np.random.default_rng(1)
TYPES: dict[type, Type] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime: "datetime",
}
COIN = RANDOM.integers(2, size=ROWS).tolist()
SIZE = RANDOM.normal(size=ROWS).round(3).tolist()
LETTERS = RANDOM.choice(list("abcdef"), size=ROWS).tolist()
DAYS = [datetime(2024, 1, 1) + timedelta(days=day) for day in range(ROWS)]


def columns(**values: Sequence[Any]) -> list[TypedColumn]:
    """Typed columns; a name that is not an identifier is a header."""
    typed = []
    for header, column in values.items():
        kind = next((TYPES[type(value)] for value in column if value is not None), "string")
        array = pa.chunked_array([pa.array(column, pa.string() if kind == "string" else None)])
        if kind == "datetime":
            array = array.cast(pa.timestamp("us"))
        name = (
            re.sub(r"\W+", "_", header).strip("_").lower() if re.search(r"\W", header) else header
        )
        typed.append(TypedColumn(name, header, kind, array, ""))
    return typed


def planned(target: Sequence[Any] = COIN, *, options: Any = None, **values: Sequence[Any]) -> Plan:
    """A plan of these columns, beside a number and a target that it tells nothing of."""
    size = {"size": SIZE[: len(target)]}
    return plan(columns(**size, **values, target=target), "target", **(options or {}))


def test_zero_and_one_are_a_boolean() -> None:
    result = planned(COIN)
    assert (result.kind, result.positive) == ("binary", True)
    target = result.columns["target"]
    assert (target.type, target.known, target.nullable) == ("boolean", "after", False)


def test_the_word_tells_which_class_is_positive() -> None:
    result = planned(["Positive" if heads else "Negative" for heads in COIN])
    assert (result.columns["target"].type, result.positive) == ("category", "Positive")
    assert result.columns["target"].allowed == ["Negative", "Positive"]
    assert not result.questions


def test_else_the_rarer_class_is_positive_and_asked_about() -> None:
    target = ["2"] * 10 + ["1"] * 190
    result = planned(target)
    assert result.positive == "2"
    assert "--set target.positive=1 chooses the other" in result.questions[0]
    options = {"overrides": {"target.positive": "1"}}
    assert planned(target, options=options).positive == "1"


def test_classes_of_numbers_become_strings_in_their_order() -> None:
    result = planned([10, 9, 2] * 60)
    assert result.kind == "classes"
    assert result.columns["target"].allowed == ["2", "9", "10"]
    assert "--task regression" in result.questions[0]


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (SIZE, "regression"),
        (RANDOM.integers(20, 70, size=ROWS).tolist(), "regression"),
        (RANDOM.poisson(RANDOM.exponential(5, size=ROWS)).tolist(), "counts"),
        ([1.0, 2.0] * 100, "binary"),
        ([True, None] * 50 + [False] * 100, "binary"),
        (LETTERS, "classes"),
    ],
)
def test_the_task_comes_from_the_values(target: list[Any], kind: str) -> None:
    assert planned(target).kind == kind


def test_many_whole_numbers_are_classes_if_the_task_says_so() -> None:
    target = [number % 20 for number in range(ROWS)]
    result = planned(target)
    assert result.kind == "regression"
    assert "--task classification makes them classes" in result.questions[0]
    assert planned(target, options={"task": "classification"}).kind == "classes"


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        ([1] * ROWS, {}, "target is always 1, so there is nothing to learn"),
        ([None] * ROWS, {}, "target has no value, so there is nothing to learn"),
        (DAYS, {}, "target contains dates, which these models cannot predict"),
        ([f"note {row}" for row in range(ROWS)], {}, "200 distinct values in 200 rows, too many"),
        (LETTERS, {"task": "regression"}, "--task regression: target is a string, not a number"),
        (SIZE, {"task": "counts"}, "--task counts: target has negative values or fractions"),
        (SIZE, {"task": "ranking"}, "--task ranking: it is one of classification, regression"),
        (COIN, {"time": "size"}, "--time size: its type is number, not datetime"),
        (COIN, {"time": "sise"}, "--time sise: no such column; is it size?"),
        (COIN, {"group": "target"}, "target is the target, so it cannot order or group"),
        ([*SIZE[1:], float("inf")], {}, "target is infinite in some rows"),
        (LETTERS, {"time": "target"}, "--time target: its type is string, not datetime"),
        (COIN, {"overrides": {"target.positive": "yes"}}, "it is false or true"),
        (COIN, {"time": "a", "group": "b"}, "split by time or by group, not by both"),
        (COIN, {"overrides": {"size.color": "red"}}, "after the column comes one of type, use"),
        (COIN, {"overrides": {"size.known": "never"}}, "known is one of before, after"),
        (COIN, {"overrides": {"Sizes.known": "after"}}, "--set Sizes: no such column; is it size?"),
        (COIN, {"overrides": {"size.use": "date"}}, "a number cannot be used so; set its type"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    target: list[Any], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        planned(target, options=options)


def test_rows_without_a_target_are_counted_and_do_not_count() -> None:
    target = [None, *COIN[1:]]
    result = planned(target, code=["only here", *LETTERS[1:]])
    assert (result.rows, result.unlabelled) == (ROWS - 1, 1)
    assert result.columns["code"].allowed == list("abcdef")
    assert "Rows without target: 1, left out." in result.decisions


def test_a_date_that_is_always_there_orders_the_rows() -> None:
    result = planned(ordered=DAYS)
    assert (result.time, result.columns["ordered"].use) == ("ordered", "date")
    assert not result.columns["ordered"].nullable
    assert "ordered orders the rows" in result.questions[0]
    assert planned(ordered=DAYS, options={"time": "none"}).time is None


@pytest.mark.parametrize("name", ["date_of_birth", "birthday", "expires"])
def test_a_birthday_orders_no_rows(name: str) -> None:
    assert planned(**{name: DAYS}).time is None


def test_of_two_dates_the_one_that_sorts_the_file_orders_the_rows() -> None:
    result = planned(signed_up=DAYS[::-1], ordered=DAYS)
    assert result.time == "ordered"
    assert "signed_up could do so as well" in result.questions[0]


def test_a_date_after_the_one_that_orders_rows_is_known_too_late_unless_it_is_planned() -> None:
    later = [day + timedelta(hours=5) for day in DAYS]
    result = planned(ordered=DAYS, delivered=later, due=later)
    assert result.columns["delivered"].known == "after"
    assert result.columns["due"].use == "date"
    assert any("--set delivered.known=before" in text for text in result.questions)


def test_a_time_that_is_often_missing_is_refused() -> None:
    with pytest.raises(UserError, match="--time at: it is missing in 5.0% of the rows"):
        planned(at=[None] * 10 + DAYS[10:], options={"time": "at"})


@pytest.mark.parametrize("form", ["P{}", 7])
def test_patients_with_several_rows_stay_together(form: str | int) -> None:
    numbers = [row // 4 for row in range(ROWS)]
    patients = [
        form.format(number) if isinstance(form, str) else form * number for number in numbers
    ]
    result = planned(patient=patients, store=LETTERS)
    assert result.group == "patient"
    assert result.columns["patient"].identifier
    assert result.columns["store"].use == "category"
    assert "--group none" in result.questions[0]


def test_beside_a_time_there_is_no_group() -> None:
    patient = [f"P{row // 4}" for row in range(ROWS)]
    result = planned(patient=patient, at=DAYS)
    assert (result.time, result.group) == ("at", None)
    assert result.columns["patient"].identifier
    result = planned(patient=patient, at=DAYS, options={"group": "patient"})
    assert (result.time, result.group) == (None, "patient")


@pytest.mark.parametrize("time", [None, "at"])
def test_a_header_without_letters_can_repeat(time: str | None) -> None:
    numbers = [row // 4 for row in range(ROWS)]
    assert planned(at=DAYS, options={"time": time or "none"}, **{"#": numbers}).time == time


def test_who_is_named_as_a_group_stays_personal_and_a_time_cannot_be() -> None:
    mails = [f"p{row // 4}@example.org" for row in range(ROWS)]
    assert planned(mail=mails, options={"group": "mail"}).columns["mail"].personal
    assert not planned(dob=DAYS, options={"time": "dob"}).columns["dob"].personal


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PassengerId", list(range(1, ROWS + 1))),
        ("X", RANDOM.permutation(np.arange(1000, 1000 + ROWS)).tolist()),
        ("token", [f"0000aaaa-0000-4000-8000-{row:012}" for row in range(ROWS)]),
        ("order_nr", [f"A{row}" for row in range(ROWS)]),
    ],
)
def test_a_column_made_to_tell_rows_apart_is_the_key(name: str, values: list[Any]) -> None:
    result = planned(**{name: values})
    assert result.key == name
    column = result.columns[name]
    assert (column.identifier, column.use, column.nullable) == (True, "none", False)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("height", RANDOM.permutation(ROWS).astype(float).tolist()),
        ("year", list(range(1820, 1820 + ROWS))),
        ("population", (RANDOM.pareto(1, size=ROWS) * 1e6).astype(int).tolist()),
    ],
)
def test_a_measurement_that_differs_in_every_row_is_a_number(name: str, values: list[Any]) -> None:
    result = planned(**{name: values})
    assert result.key is None
    assert result.columns[name].use == "number"


def test_a_key_may_repeat_in_rows_that_are_there_twice() -> None:
    values: dict[str, Any] = {"id": list(range(ROWS)), "target": COIN, "size": SIZE}
    twice = {name: [*column, *column[:5]] for name, column in values.items()}
    result = plan(columns(**twice), "target")
    assert (result.key, result.duplicates) == ("id", 5)


def test_rows_that_are_alike_by_chance_stay() -> None:
    result = plan(columns(sex=["f", "m"] * 100, target=COIN), "target")
    assert (result.duplicates, result.kept_duplicates) == (0, 196)
    assert any("kept, because other equal rows differ" in text for text in result.decisions)


def test_rows_that_differ_in_their_key_alone_are_counted() -> None:
    result = plan(columns(id=range(ROWS), sex=["f", "m"] * 100, target=COIN), "target")
    assert (result.key, result.duplicates, result.kept_duplicates) == ("id", 0, 196)


@pytest.mark.parametrize(
    ("name", "values", "use"),
    [
        ("empty", [None] * ROWS, "none"),
        ("constant", ["x"] * ROWS, "none"),
        ("ticket", [f"t{row // 1.5:.0f}" for row in range(ROWS)], "none"),
        ("copy", SIZE, "none"),
        ("flag", ["x", None] * 100, "category"),
        ("letter", LETTERS, "category"),
        ("town", [f"town {row % 60}" for row in range(ROWS)], "many categories"),
        ("note", [f"it came {row} days too late again" for row in range(ROWS)], "text"),
        ("due", DAYS, "date"),
        ("is_new", RANDOM.permutation([True, False] * 100).tolist(), "number"),
        ("subject", [f"{row % 150} is late for you again" for row in range(ROWS)], "text"),
        ("account_id", [row % 9 for row in range(ROWS)], "category"),
        ("account_id", [row % 40 for row in RANDOM.permutation(ROWS).tolist()], "none"),
    ],
)
def test_a_column_is_used_by_its_kind(name: str, values: list[Any], use: str) -> None:
    options = {"group": "none"}
    assert planned(**{name: values}, options=options).columns[name].use == use


def test_texts_that_occur_once_leave_the_category_open_for_new_ones() -> None:
    rare = [*(["a"] * 194), "b", "c", "d", "e", "f", "g"]
    column = planned(rare=rare).columns["rare"]
    assert (column.type, column.use, column.allowed) == ("string", "category", None)
    options = {"overrides": {"rare.type": "category"}}
    assert planned(rare=rare, options=options).columns["rare"].allowed == list("abcdefg")


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ([20.0, 60.0], {"min": 0.0, "max": 80.0}),
        ([0.0, 1.23], {"min": 0, "max": 1.9}),
        ([-5.0, 5.0], {"min": -10, "max": 10}),
        ([100, 1234], {"min": 0, "max": 1900}),
        ([0, 1], {"min": 0, "max": 1}),
        ([2**60, 2**61], {"min": 5 * 10**17, "max": 29 * 10**17}),
        ([1e-300, 3e-300], {"min": 0, "max": 5e-300}),
        ([-1e308, 1e308], None),
        ([float("-inf"), 1.0, 2.0], {"min": 0.5, "max": 2.5}),
    ],
)
def test_numbers_have_half_their_range_as_headroom(
    values: list[Any], allowed: dict[str, float]
) -> None:
    column = planned(x=(values * 100)[:ROWS]).columns["x"]
    assert column.allowed == allowed
    assert not column.nullable


def test_years_go_on() -> None:
    assert planned(model_year=[2012, 2019] * 100).columns["model_year"].allowed == {
        "min": 2008,
        "max": None,
    }


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("body_mass_kg", "kg"),
        ("length (mm)", "mm"),
        ("price_usd", "usd"),
        ("speed [km/h]", "km/h"),
        ("share_pct", "%"),
        ("temp_min", None),
        ("age (years)", "years"),
        ("answer (yes/no)", None),
    ],
)
def test_the_unit_is_in_the_name(header: str, unit: str | None) -> None:
    result = planned(**{header: [1.5, 2.5] * 100})
    assert (
        next(column.unit for column in result.columns.values() if column.header == header) == unit
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("contact", [f"p{row}@example.org" for row in range(ROWS)]),
        ("Phone", [1_000_000 + 7 * row for row in range(ROWS)]),
        ("line", [f"+49 30 {100000 + row}" for row in range(ROWS)]),
        ("first_name", [f"Ann{'abcdefghijklmno'[row % 15]}" for row in range(ROWS)]),
        ("Name", [f"Smith, Mrs. Ann{'abcdefghij'[row % 10]} {'xyz' * row}" for row in range(ROWS)]),
        ("date_of_birth", DAYS),
        ("ip", [f"10.0.{row}.1" for row in range(ROWS)]),
    ],
)
def test_what_is_about_a_person_is_no_feature_unless_set(name: str, values: list[Any]) -> None:
    result = planned(**{name: values})
    column = result.columns[name]
    assert (column.personal, column.use, column.identifier) == (True, "none", False)
    assert any(f"--set {name}.personal=false" in text for text in result.questions)
    options = {"overrides": {f"{name}.personal": "false"}}
    assert not planned(**{name: values}, options=options).columns[name].personal


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Street", ["Grvl", "Pave"] * 100),
        ("PhoneService", [True, False] * 100),
        ("name", [f"Model {row % 20} GTI" for row in range(ROWS)]),
        ("email", ["yes", "no", None, "no"] * 50),
    ],
)
def test_what_only_sounds_personal_is_not(name: str, values: list[Any]) -> None:
    assert not planned(**{name: values}).columns[name].personal


LATE = [bool(heads) for heads in COIN]
NEAR = [late + size / 1000 for late, size in zip(LATE, SIZE, strict=True)]


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("reason", ["moved" if late else None for late in LATE], "filled only where"),
        ("kept_until", ["open" if not late else None for late in LATE], "filled only where"),
        ("returned", [None if late else row for row, late in enumerate(LATE)], "filled only"),
        ("score", NEAR, "alone nearly"),
        ("recovered", [0 if not late else row for row, late in enumerate(LATE)], "not 0 only"),
        ("target_reason", LETTERS, "named after the target"),
        ("state", ["gone" if late else "here" for late in LATE], ""),
    ],
)
def test_what_looks_like_a_leak_is_known_after(name: str, values: list[Any], reason: str) -> None:
    result = planned(LATE, **{name: values})
    assert (result.columns[name].known, result.columns[name].use) == ("after", "none")
    assert reason in result.columns[name].notes[0]
    assert any(f"--set {name}.known=before" in text for text in result.questions)
    options = {"overrides": {f"{name}.known": "before"}}
    assert planned(LATE, **{name: values}, options=options).columns[name].known == "before"


def test_what_orders_rows_as_a_number_to_predict_does_is_known_after() -> None:
    cost = np.exp(3 * np.array(SIZE))
    low, grams = (-np.log(cost)).tolist(), (cost * 1000).tolist()
    result = plan(columns(grams=grams, low=low, cost=cost.tolist()), "cost")
    assert {column.known for column in result.columns.values()} == {"after"}


def test_a_date_for_one_class_alone_is_known_after_beside_a_time_too() -> None:
    called = [DAYS[(7 * row) % ROWS] if late else None for row, late in enumerate(LATE)]
    assert planned(LATE, at=DAYS, called=called).columns["called"].known == "after"


@pytest.mark.parametrize("scale", [1, 1e12 / 7])
def test_numbers_whose_sum_is_to_be_predicted_are_known_after(scale: float) -> None:
    casual, members = ((scale * RANDOM.poisson(50, size=ROWS)).tolist() for _ in range(2))
    riders = [sum(pair) for pair in zip(casual, members, strict=True)]
    result = plan(columns(casual=casual, members=members, wind=SIZE, riders=riders), "riders")
    assert {name for name, column in result.columns.items() if column.known == "before"} == {"wind"}
    assert "the target follows from casual, members" in result.questions[-1]


def test_a_shop_has_its_level_and_is_no_leak() -> None:
    shop = [f"shop {row % 8}" for row in range(ROWS)]
    sales = [100 * (row % 8) + 30 * size for row, size in enumerate(SIZE)]
    result = plan(columns(shop=shop, sales=sales), "sales")
    assert result.columns["shop"].known == "before"
    grade = [f"grade {row % 8}" for row in range(ROWS)]
    rate = [100 * (row % 8) + size for row, size in enumerate(SIZE)]
    result = plan(columns(grade=grade, rate=rate), "rate")
    assert result.columns["grade"].known == "after"


@pytest.mark.parametrize("target", [COIN, SIZE])
def test_a_wide_table_is_not_probed_column_by_column(
    target: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("machinery.pipeline.data.probes.score_alone")
    noise = {f"x{number}": RANDOM.normal(size=ROWS).tolist() for number in range(9)}
    table = plan(columns(**noise, letter=LETTERS, target=target), "target")
    assert {table.columns[name].known for name in (*noise, "letter")} == {"before"}


def test_a_copy_of_the_target_in_some_rows_is_known_after() -> None:
    copy = [int(heads) if row % 5 < 3 else None for row, heads in enumerate(COIN)]
    assert planned(COIN, copied=copy).columns["copied"].known == "after"


def test_minus_zero_is_zero() -> None:
    note = planned(change=[0.0, -0.0] * (ROWS // 2)).columns["change"].notes
    assert note == ["Constant, not used."]


def test_a_strong_honest_column_is_no_leak() -> None:
    strong = [late + 0.45 * size for late, size in zip(LATE, SIZE, strict=True)]
    at_times = [None if letter == "a" else letter for letter in LETTERS]
    result = planned(LATE, strong=strong, at_times=at_times)
    assert {result.columns[name].known for name in ("strong", "at_times", "size")} == {"before"}


def test_what_is_set_overrules_what_is_guessed() -> None:
    overrides = {
        "size.known": "after",
        "letter.use": "many categories",
        "row.identifier": "false",
        "town.identifier": "true",
        "x.unit": "kg",
    }
    row = RANDOM.permutation(ROWS).tolist()
    result = planned(
        letter=LETTERS, row=row, town=LETTERS[::-1], x=row[::-1], options={"overrides": overrides}
    )
    assert result.columns["size"].known == "after"
    assert result.columns["letter"].use == "many categories"
    assert result.columns["row"].use == "number"
    assert result.columns["town"].identifier
    assert result.columns["x"].unit == "kg"
    assert not result.questions


def test_columns_are_named_by_header_or_name() -> None:
    table = columns(**{"net price": SIZE, "is late": LATE})
    for name in ("is late", "is_late"):
        result = plan(table, name, overrides={"net price.unit": "EUR"})
        assert result.target == "is_late"
        assert result.columns["net_price"].unit == "EUR"


def test_a_name_with_a_dot_can_be_set() -> None:
    table = columns(**{"Sepal.Length": SIZE}, y=LATE)
    result = plan(table, "y", overrides={"Sepal.Length.unit": "cm"})
    assert result.columns["sepal_length"].unit == "cm"


def test_an_option_can_be_pasted_into_a_shell() -> None:
    table = columns(**{"closed at": ["x" if late else None for late in LATE]}, y=LATE)
    assert "--set 'closed at.known=before' uses it." in plan(table, "y").questions[0]


def test_columns_may_have_our_own_words_as_names() -> None:
    names = ["prediction", "fold", "row", "target", "key", "time", "features"]
    values = {name: RANDOM.normal(size=ROWS).tolist() for name in names}
    result = plan(columns(**values, low=LATE), "low")
    assert [column.use for column in result.columns.values()] == ["number"] * 7 + ["none"]


def test_columns_with_the_same_decision_share_a_sentence() -> None:
    many = {f"x{number}": RANDOM.normal(size=ROWS).tolist() for number in range(30)}
    assert "size, x0, x1, x2, x3 and 26 more: number." in planned(**many).decisions


def test_a_rare_class_is_looked_at_as_closely_as_the_other() -> None:
    rare = [row % 100 == 0 for row in range(5000)]
    leak = (np.array(rare) + RANDOM.random(5000)).tolist()
    honest = RANDOM.normal(size=5000).tolist()
    result = plan(columns(leak=leak, honest=honest, y=rare), "y")
    assert {name: column.known for name, column in result.columns.items()} == {
        "leak": "after",
        "honest": "before",
        "y": "after",
    }
