"""rows: a body is read as the contract says, whatever is left out; a field given twice is seen."""

import json
from itertools import product
from typing import Any

import pytest
from machinery.pipeline.data.contract import Column
from machinery.pipeline.files import UserError
from machinery.serving.rows import SMALL, Reader, RequestError

PLAIN = {"unit": None, "allowed": None, "description": "what it is", "owner": "a team"}
KINDS = {"id": "string", "a:b": "number", "seen": "datetime", "town": "string", "pieces": "integer"}
GIVEN = {"id": "x:1", "a:b": 2.5, "seen": "2013-07-01T12:00:00", "town": "c:d", "pieces": 3}
ABSENT = "absent"


@pytest.fixture(scope="module")
def reader() -> Reader:
    """All but the first column may be null, or left out."""
    columns = {
        name: Column.model_validate(
            {**PLAIN, "type": kind, "nullable": name != "id", "known": "before"}
        )
        for name, kind in KINDS.items()
    }
    return Reader(columns, 100)


def rows_of_all_kinds() -> list[dict[str, Any]]:
    """Each field as it is, null, and left out, with each of the others."""
    choices = [(GIVEN[name], None, ABSENT) for name in list(KINDS)[1:]]
    rows = [dict(zip(list(KINDS)[1:], each, strict=True)) for each in product(*choices)]
    return [
        {"id": "x:1"} | {name: value for name, value in row.items() if value != ABSENT}
        for row in rows
    ]


def test_what_is_left_out_is_none_and_no_row_is_taken_for_one_with_twins(reader: Reader) -> None:
    rows = rows_of_all_kinds()
    for row in rows:
        (found,) = reader.read(json.dumps(row).encode())
        assert [value is None for value in found] == [row.get(name) is None for name in KINDS]
    assert len(rows) == 81
    assert len(reader.read(json.dumps(rows).encode())) == 81
    whole = [row for row in rows if len(row) == len(KINDS)]
    assert reader.columns(reader.read(json.dumps(whole[:1]).encode()))["town"] == ("c:d",)


def test_a_field_given_twice_is_seen_also_where_another_is_left_out(reader: Reader) -> None:
    twins = [f'"{name}": {json.dumps(GIVEN[name])}' for name in KINDS]
    twins += [f'"{name}": null' for name in list(KINDS)[1:]]
    for row, twin in product(rows_of_all_kinds(), twins):
        name = twin[1 : twin.index('": ')]
        if name in row:
            body = f"{json.dumps(row)[:-1]}, {twin}}}"
            for each in (body, f"[{json.dumps(GIVEN)}, {body}]"):
                with pytest.raises(RequestError, match="is given twice"):
                    reader.read(each.encode())


def test_in_a_large_body_the_last_of_two_values_counts(reader: Reader) -> None:
    body = f'{{"id": "x", "town": "Ulm"{" " * SMALL}, "town": "Bonn"}}'
    (row,) = reader.read(body.encode())
    assert "Bonn" in row


@pytest.mark.parametrize("name", ['5" pipe', "back\\slash", "new\nline"])
def test_a_name_that_json_would_have_to_escape_is_refused(name: str) -> None:
    plain = {**PLAIN, "type": "number", "nullable": False, "known": "before"}
    with pytest.raises(UserError, match="contract.yaml: the name of .* rename it to serve it"):
        Reader({name: Column.model_validate(plain)}, 100)
