"""rows: a body is read as the contract says, whatever is left out."""

import json
from itertools import product

import pytest

from machinery.pipeline.data.contract import Column
from machinery.pipeline.files import UserError
from machinery.serving.rows import Reader

PLAIN = {"unit": None, "allowed": None, "description": "what it is", "owner": "a team"}
KINDS = {"id": "string", "a:b": "number", "seen": "datetime", "town": "string", "pieces": "integer"}
GIVEN = {"id": "x:1", "a:b": 2.5, "seen": "2013-07-01T12:00:00", "town": "c:d", "pieces": 3}


def test_what_is_null_or_left_out_is_none_whatever_else_is_given() -> None:
    columns = {
        name: Column.model_validate(
            {**PLAIN, "type": kind, "nullable": name != "id", "known": "before"}
        )
        for name, kind in KINDS.items()
    }
    choices = [[(name, GIVEN[name]), (name, None), None] for name in [*KINDS][1:]]
    rows = [dict([("id", "x:1"), *filter(None, pairs)]) for pairs in product(*choices)]
    assert len(rows) == 81
    read = Reader(columns, 100).read(json.dumps(rows).encode())
    for name in KINDS:
        assert [value is None for value in read[name]] == [row.get(name) is None for row in rows]
    assert {*read["town"]} == {"c:d", None}


@pytest.mark.parametrize("name", ['5" pipe', "back\\slash", "new\nline"])
def test_a_name_that_json_would_have_to_escape_is_refused(name: str) -> None:
    plain = {**PLAIN, "type": "number", "nullable": False, "known": "before"}
    with pytest.raises(UserError, match="contract.yaml: the name of .* rename it to serve it"):
        Reader({name: Column.model_validate(plain)}, 100)
