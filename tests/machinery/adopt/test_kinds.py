"""Types from text: exact, by rules, with a reason; ambiguous text stays text."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from machinery.adopt.kinds import convert, python_names, typed
from machinery.adopt.plan import RawTable, TypedColumn
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError


def described(kind: str, **changes: Any) -> dict[str, Any]:
    """A column of the contract, as YAML would give it; it may be missing."""
    plain = {"unit": None, "allowed": None, "nullable": True, "known": "before"}
    return {"type": kind, "description": "what it is", "owner": "a team", **plain, **changes}


def one(*values: Any, as_type: str | None = None) -> TypedColumn:
    """The column of the values, alone in its table."""
    [column] = typed(pa.table({"x": [*values]}), {"x": as_type} if as_type else {})
    return column


def values(column: TypedColumn) -> list[Any]:
    """What is in the column."""
    return list(column.values.to_pylist())


def day(month: int, of_month: int) -> datetime:
    """A day of 2024."""
    return datetime(2024, month, of_month)


WRITTEN: dict[str, tuple[list[str], str, list[Any]]] = {
    "whole numbers": (["1", "-2", "0"], "integer", [1, -2, 0]),
    "all integers of 64 bits": ([str(2**63 - 1), "1"], "integer", [2**63 - 1, 1]),
    "integers beyond 2^53": (
        [str(2**53 + i) for i in range(3)],
        "integer",
        [2**53 + i for i in range(3)],
    ),
    "zeros and ones": (["0", "1"], "integer", [0, 1]),
    "decimal points": (["1.5", "2", "-.5"], "number", [1.5, 2, -0.5]),
    "decimal commas": (["1,5", "2", "-0,25"], "number", [1.5, 2, -0.25]),
    "points between thousands": (["1.234,56", "7"], "number", [1234.56, 7]),
    "commas between thousands": (["1,234.56", "7"], "number", [1234.56, 7]),
    "blanks between thousands": (["1 234,56", "1\u202f234"], "number", [1234.56, 1234]),
    "apostrophes between thousands": (["1'234.56", "7"], "number", [1234.56, 7]),
    "many thousands": (["1.234.567", "1.234"], "integer", [1234567, 1234]),
    "long numbers, with fractions": (["99999999999999998", "0.5"], "number", [1e17, 0.5]),
    "exponents": (["1e5", "2.5E-003", "1e-312"], "number", [1e5, 2.5e-3, 1e-312]),
    "signs": (["+1.5", "-2"], "number", [1.5, -2]),
    "true and false": (["TRUE", "false"], "boolean", [True, False]),
    "Yes and No": (["Yes", "no"], "boolean", [True, False]),
    "Ja and Nein": (["Ja", "Nein"], "boolean", [True, False]),
    "dates": (["2024-01-31", "2024-12-01"], "datetime", [day(1, 31), day(12, 1)]),
    "dates without zeros": (["2024/1/31", "2024/12/1"], "datetime", [day(1, 31), day(12, 1)]),
    "German dates": (["31.1.2024", "01.12.2024"], "datetime", [day(1, 31), day(12, 1)]),
    "American dates": (["1/31/2024", "12/1/2024"], "datetime", [day(1, 31), day(12, 1)]),
    "British dates": (["31/1/2024", "1/12/2024"], "datetime", [day(1, 31), day(12, 1)]),
    "short American dates": (["1/31/24", "12/1/24"], "datetime", [day(1, 31), day(12, 1)]),
    "names of months": (["31-Jan-2024", "1-dec-2024"], "datetime", [day(1, 31), day(12, 1)]),
    "months first": (["Jan 31, 2024", "Dec 1, 2024"], "datetime", [day(1, 31), day(12, 1)]),
    "times": (
        ["2024-01-31 10:30", "2024-12-01T00:00:00.1234567"],
        "datetime",
        [datetime(2024, 1, 31, 10, 30), datetime(2024, 12, 1, 0, 0, 0, 123456)],
    ),
    "halves of a day": (
        ["1/31/2024 12:05 AM", "1/31/2024 12:05 pm", "1/31/2024 11:05 PM"],
        "datetime",
        [
            datetime(2024, 1, 31, 0, 5),
            datetime(2024, 1, 31, 12, 5),
            datetime(2024, 1, 31, 23, 5),
        ],
    ),
    "time zones": (
        ["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02:00", "2024-01-31 10:00 UTC"],
        "datetime",
        [datetime(2024, 1, 31, 10), datetime(2024, 1, 31, 8), datetime(2024, 1, 31, 10)],
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_in_one_style_gets_its_type(name: str) -> None:
    texts, kind, meant = WRITTEN[name]
    column = one(*texts, " NA ", "")
    assert (column.type, values(column)) == (kind, [*meant, None, None])
    assert "'NA' taken as missing" in column.reason


TEXTS = {
    "codes, because some begin with 0 or +": ["02134", "10001"],
    f"most are numbers, but not '{2**63}'": [str(2**63), "1"],
    "most are numbers, but not 'many', 'few'": ["1", "2", "3", "many", "few"],
    "most are dates like 2024-12-31, but not '31.12.2024'": [
        "2024-12-31",
        "2024-12-30",
        "31.12.2024",
    ],
    "most are dates like 2024-12-31, but not '2024-02-30'": ["2024-02-28", "2024-02-30"],
    "most are numbers, but not '1,5'": ["1.5", "2.5", "1,5"],
    "most are numbers, but not '(3)'": ["1", "2", "(3)"],
    "most are dates like 31.12.2024 23:00, but not '01.02.2024'": [
        "31.12.2024 10:00",
        "31.12.2024 11:00",
        "01.02.2024",
    ],
    "text": ["red", "blue"],
}


@pytest.mark.parametrize("reason", TEXTS)
def test_all_else_stays_text_and_the_reason_names_what_does_not_fit(reason: str) -> None:
    column = one(*TEXTS[reason])
    assert (column.type, values(column)) == ("string", TEXTS[reason])
    assert reason in column.reason.lower().replace("text: ", "")


@pytest.mark.parametrize(
    "texts",
    [
        ["+4912345678", "+4923456789"],
        ["1.2.3", "1.10.0"],
        ["0x10", "1"],
        ["y", "y"],
        ["12:30", "7:15"],
    ]
    + [
        ["12%34", "5%"],
        ["5 €", "6 $"],
        ["1e999", "1"],
        ["9" * 400, "0.5"],
        ["1.2.03", "1.10.03"],
        ["31.01.24", "01.12.24"],
        ["inf", "1"],
        ["2024-01-01T10:00:00Z", "2024-01-01"],
    ],
    ids=" ".join,
)
def test_what_only_resembles_a_type_stays_text(texts: list[str]) -> None:
    assert (one(*texts).type, values(one(*texts))) == ("string", texts)


@pytest.mark.parametrize(
    ("texts", "unit", "meant"),
    [
        (["12 %", "5%"], "%", [12, 5]),
        (["1.234,50 €", "3,00 €"], "€", [1234.5, 3]),
        (["$1,234.50", "-$3"], "$", [1234.5, -3]),
        (["EUR 5", "6.5 EUR"], "EUR", [5, 6.5]),
    ],
)
def test_a_percentage_or_a_currency_becomes_the_unit(
    texts: list[str], unit: str, meant: list[float]
) -> None:
    column = one(*texts)
    assert (column.unit, values(column)) == (unit, meant)


@pytest.mark.parametrize(
    "blank", ["", " ", "NA", "n/a", "null", "None", "-", "?", "NaN", "#N/A", "<NA>"]
)
def test_blank_like_words_are_missing(blank: str) -> None:
    assert values(one("1", blank)) == [1, None]
    assert values(one("red", blank)) == ["red", None]


def test_a_column_all_missing_is_a_string_that_says_so() -> None:
    column = one("", None, "NA")
    assert (column.type, values(column), column.reason) == (
        "string",
        [None] * 3,
        "Every value is missing.",
    )


def test_whole_numbers_that_pandas_made_floats_are_integers_only_where_one_is_missing() -> None:
    assert (one("1.0", "").type, one("1.0", "2.0").type) == ("integer", "number")


def test_a_number_that_could_be_thousands_is_decided_by_the_column() -> None:
    assert values(one("1,234", "12,345")) == [1234, 12345]
    assert "could also be numbers like 1234,56" in one("1,234", "12,345").reason
    assert values(one("1,234", "5678")) == [1.234, 5678]
    assert values(one("1,234", "0,567")) == [1.234, 0.567]
    assert values(one("1.234", "5.678")) == [1.234, 5.678]
    assert "could also be" in one("1.234", "5.678").reason


def test_what_a_column_leaves_open_other_columns_decide() -> None:
    table = pa.table(
        {
            "open": ["1,234", "5,678"],
            "proof": ["1,5", "2"],
            "at": ["01/02/2024", "03/04/2024"],
            "end": ["31/01/2024", "01/02/2024"],
        }
    )
    number, _, at, _ = typed(table, {})
    assert values(number) == [1.234, 5.678]
    assert values(at) == [day(2, 1), day(4, 3)]
    assert "could" not in number.reason + at.reason


def test_dates_that_could_be_both_are_month_first_and_reported() -> None:
    column = one("01/02/2024", "03/04/2024")
    assert values(column) == [day(1, 2), day(3, 4)]
    assert "could also be dates like 31/12/2024" in column.reason


def test_types_of_typed_formats_are_kept() -> None:
    berlin = pa.timestamp("ns", "Europe/Berlin")
    columns = {
        "int": pa.array([2**53 + 1, None]),
        "float": pa.array([1.5, float("nan")]),
        "decimal": pa.array([Decimal("0.10"), None]),
        "large": pa.array([2**64 - 1, 1], pa.uint64()),
        "bool": pa.array([True, None]),
        "date": pa.array([day(1, 31).date(), None]),
        "zone": pa.array([day(1, 31), None], berlin),
        "category": pa.array(["a", None]).dictionary_encode(),
        "text": pa.array(["02134", None], pa.large_string()),
        "list": pa.array([[1, 2], None]),
        "none": pa.nulls(2),
    }
    results = {column.name: column for column in typed(pa.table(columns), {})}
    assert {name: (column.type, values(column)[0]) for name, column in results.items()} == {
        "int": ("integer", 2**53 + 1),
        "float": ("number", 1.5),
        "decimal": ("number", 0.1),
        "large": ("string", str(2**64 - 1)),
        "bool": ("boolean", True),
        "date": ("datetime", day(1, 31)),
        "zone": ("datetime", day(1, 31)),
        "category": ("string", "a"),
        "text": ("string", "02134"),
        "list": ("string", "[1, 2]"),
        "none": ("string", None),
    }
    assert all(values(column)[1] is None for name, column in results.items() if name != "large")


@pytest.mark.parametrize(
    ("kind", "texts", "meant"),
    [
        ("string", ["1", "2"], ["1", "2"]),
        ("category", ["1", "2"], ["1", "2"]),
        ("number", ["007", "1"], [7.0, 1.0]),
        ("number", [str(2**53 + 1), "1"], [2.0**53, 1.0]),
        ("integer", [str(2**53 + 1), "1.0"], [2**53 + 1, 1]),
        ("integer", ["1.0", "2"], [1, 2]),
        ("boolean", ["0", "1"], [False, True]),
        ("boolean", ["y", "y"], [True, True]),
        ("datetime", ["2024-01-31", "2024-12-01"], [day(1, 31), day(12, 1)]),
        ("datetime", ["", ""], [None, None]),
    ],
)
def test_a_type_can_be_forced(kind: str, texts: list[str], meant: list[Any]) -> None:
    column = one(*texts, as_type=kind)
    assert values(column) == meant
    assert column.type == ("string" if kind == "category" else kind)


def test_a_forced_type_names_the_first_value_that_is_not_of_it() -> None:
    with pytest.raises(UserError, match="x has 'many' in row 3, which is not of type number"):
        one("1", "2", "many", "few", "none at all", as_type="number")
    with pytest.raises(UserError, match="x has 'many' in row 2, which is not of type number"):
        one("1 %", "many %", as_type="number")
    with pytest.raises(UserError, match=f"x has '{2**63}' in row 2, which is not of type integer"):
        one("1", str(2**63), as_type="integer")
    with pytest.raises(UserError, match="x has '1.5' in row 2, which is not of type integer"):
        one(1.0, 1.5, as_type="integer")


def test_a_forced_column_that_does_not_exist_is_named() -> None:
    with pytest.raises(UserError, match="--set y.type=number: the table has no column y"):
        typed(pa.table({"x": ["1"]}), {"y": "number"})
    with pytest.raises(UserError, match="--set x.type=float: a type is string, category, integer"):
        typed(pa.table({"x": ["1"]}), {"x": "float"})


def test_names_are_those_that_python_can_use() -> None:
    headers = [
        "Age",
        "Fare (GBP)",
        "class",
        "😀",
        "fare_gbp",
        "Größe (cm)",
        "größe",
        "2019",
        "a.b",
        "a b",
    ]
    names = python_names(headers)
    assert names == [
        *("Age", "fare_gbp_2", "class_", "column_4", "fare_gbp"),
        *("grosse_cm", "größe", "column_2019", "a_b", "a_b_2"),
    ]


def test_a_column_can_be_forced_by_either_name() -> None:
    table = pa.table({"No. of rooms": ["1"]})
    assert typed(table, {"No. of rooms": "number"})[0].type == "number"
    assert typed(table, {"no_of_rooms": "number"})[0].type == "number"


@pytest.fixture
def sizes(document: dict[str, Any]) -> Contract:
    """A contract with a size in mm, a date and a personal code."""
    document["columns"] |= {
        "seen": described("datetime"),
        "size_mm": described("number"),
        "code": described("string", personal=True),
    }
    for name in ("size", "colour"):
        del document["columns"][name]
    return contracts.parse(document)


def later(**changes: list[str]) -> RawTable:
    """A later table, all text."""
    columns = {"at": ["2024-01-31"], "Size (mm)": ["1,5"], "code": ["007"], "seen": ["31/01/2024"]}
    return RawTable(pa.table({**columns, **changes}), ["as it was"])


def test_a_later_table_gets_the_names_and_types_of_the_contract(sizes: Contract) -> None:
    table, notes = convert(later(other=["x"]), sizes)
    assert table.to_pylist() == [
        {"at": day(1, 31), "seen": day(1, 31), "size_mm": 1.5, "code": "007"}
    ]
    assert "as it was" in notes
    assert "other is left out because contract.yaml does not describe it." in notes
    assert "late is not in the table." in notes


@pytest.mark.parametrize(
    ("unit", "value", "note"),
    [
        (None, "1", None),
        ("mm", "1", None),
        ("%", "12%", None),
        ("%", "0.12", "size_mm is written without unit, but contract.yaml says %; compare"),
        ("mm", "12%", "size_mm is written in %, but contract.yaml says mm; compare"),
        (None, "12%", "size_mm is written in %, but contract.yaml says none; compare"),
    ],
)
def test_a_later_table_in_another_unit_is_reported(
    sizes: Contract, document: dict[str, Any], unit: str | None, value: str, note: str | None
) -> None:
    document["columns"]["size_mm"] |= {"unit": unit} if unit else {}
    _, notes = convert(later(**{"Size (mm)": [value]}), contracts.parse(document))
    assert [note_ for note_ in notes if "compare" in note_] == (
        [f"{note} the values."] if note else []
    )


def test_a_later_table_that_lacks_a_column_is_refused(sizes: Contract) -> None:
    raw = later()
    with pytest.raises(UserError, match="the table lacks seen, which contract.yaml describes"):
        convert(raw._replace(table=raw.table.drop_columns("seen")), sizes)


def test_a_wrong_value_of_a_later_table_is_named_by_its_row(sizes: Contract) -> None:
    with pytest.raises(
        UserError, match="size_mm has a value in row 1, which is not of type number"
    ):
        convert(later(**{"Size (mm)": ["big"]}), sizes)


def test_a_personal_value_is_not_shown(sizes: Contract, document: dict[str, Any]) -> None:
    document["columns"]["code"] = described("integer", personal=True)
    with pytest.raises(UserError, match="code has a value in row 1, which is not of type integer"):
        convert(later(code=["secret"]), contracts.parse(document))


def test_a_later_table_whose_dates_could_be_both_is_refused(sizes: Contract) -> None:
    with pytest.raises(
        UserError, match="seen may contain dates like 12/31/2024 or dates like 31/12/2024"
    ):
        convert(later(seen=["01/02/2024"]), sizes)
