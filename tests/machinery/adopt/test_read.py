"""Tables as people have them: read right, or refused in one sentence with the remedy."""

import bz2
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from openpyxl import Workbook
from pyarrow import parquet

from machinery.adopt.kinds import typed
from machinery.adopt.plan import Given
from machinery.adopt.read import read
from machinery.pipeline.files import UserError

HEADER = ["id", "name", "price", "sold on"]
ROWS = [
    ["007", "Müller & Söhne", "1.5", "2024-12-31 10:00"],
    ["008", "O'Brien, Ann", "12", "2024-01-01 11:30"],
    ["009", "", "-3.25", "2024-02-03 00:00"],
    ["010", "Çelik; Zoë | Co", "1000", "2024-05-06 23:59"],
]


def csv(
    delimiter: str = ",",
    end: str = "\n",
    quote: str = '"',
    comma: bool = False,
    above: str = "",
    all_quoted: bool = False,
    header: list[str] = HEADER,
) -> str:
    """The rows as CSV; with `comma`, decimals have one."""

    def field(text: str) -> str:
        if all_quoted or delimiter in text or quote in text:
            return quote + text.replace(quote, 2 * quote) + quote
        return text

    rows = [[*row[:2], row[2].replace(".", ",") if comma else row[2], row[3]] for row in ROWS]
    lines = [delimiter.join(map(field, row)) for row in ([header] if header else []) + rows]
    return above + "".join(line + end for line in lines)


def meant(comma: bool = False, names: list[str] = HEADER) -> dict[str, list[str]]:
    """The columns of the rows."""
    columns = dict(zip(names, map(list, zip(*ROWS, strict=True)), strict=True))
    if comma:
        columns[names[2]] = [text.replace(".", ",") for text in columns[names[2]]]
    return columns


NUMBERED = [f"column_{at}" for at in range(1, 5)]
ODD: dict[str, tuple[str | bytes, dict[str, list[str]]]] = {
    "commas": (csv(), meant()),
    "semicolons": (csv(";"), meant()),
    "tabs": (csv("\t"), meant()),
    "bars": (csv("|"), meant()),
    "carets": (csv("^"), meant()),
    "tildes": (csv("~"), meant()),
    "decimal commas and semicolons": (csv(";", comma=True), meant(comma=True)),
    "decimal commas and tabs": (csv("\t", comma=True), meant(comma=True)),
    "decimal commas, quoted, and commas": (csv(comma=True), meant(comma=True)),
    "all quoted": (csv(all_quoted=True), meant()),
    "single quotes": (csv(quote="'"), meant()),
    "Windows line ends": (csv(end="\r\n"), meant()),
    "old Macintosh line ends": (csv(end="\r"), meant()),
    "no end of the last line": (csv().rstrip("\n"), meant()),
    "a BOM": (csv().encode("utf-8-sig"), meant()),
    "a BOM, semicolons and Windows line ends": (csv(";", "\r\n").encode("utf-8-sig"), meant()),
    "UTF-16": (csv("\t").encode("utf-16"), meant()),
    "UTF-16, big end first": (b"\xfe\xff" + csv(";").encode("utf-16-be"), meant()),
    "cp1252": (csv(";", comma=True).encode("cp1252"), meant(comma=True)),
    "cp1252 and Windows line ends": (csv(end="\r\n").encode("cp1252"), meant()),
    "Excel's line for the separator": (csv(";", above="sep=;\n"), meant()),
    "Excel's line for a tab": (csv("\t", above='"sep=\t"\r\n', end="\r\n"), meant()),
    "a title": (csv(above="Sales of 2024\n"), meant()),
    "a title, an author and an empty line": (csv(";", above="Sales\nby A, B\n\n"), meant()),
    "a padded title, as Excel saves it": (csv(";", above="Sales;;;\n;;;\n"), meant()),
    "comments": (csv(above="# from the till\n# version 2\n"), meant()),
    "a comment with commas": (csv(above="# from a, b, c\n"), meant()),
    "comments with commas": (csv(above="# a, b\n# c, d\n"), meant()),
    "a header with a hash": (
        csv(header=["#id", *HEADER[1:]]),
        meant(names=["#id", *HEADER[1:]]),
    ),
    "a quoted title": (csv(above='"Sales, of\n2024"\n'), meant()),
    "empty lines between": (csv().replace("\n008", "\n\n008"), meant()),
    "no header": (csv(header=[]), meant(names=NUMBERED)),
    "no header, under a title": (csv(";", header=[], above="Sales\n\n"), meant(names=NUMBERED)),
    "a header of two lines": (
        csv(header=["id", "name", "price", "sold\non"], all_quoted=True),
        meant(names=["id", "name", "price", "sold\non"]),
    ),
    "names with blanks around": (
        csv(header=[" id", "name ", " price", "sold on"]),
        meant(),
    ),
    "names twice": (
        csv(header=["id", "id", "price", "price"]),
        meant(names=["id", "id_2", "price", "price_2"]),
    ),
    "a column without name": (
        csv(header=["", "name", "price", "sold on"]),
        meant(names=["column_1", *HEADER[1:]]),
    ),
    "a separator at the end of all lines": (
        csv(";").replace("\n", ";\n"),
        {**meant(), "column_5": [""] * 4},
    ),
    "years as names": (
        "land,2023,2024\nDE,5.5,6\nFR,7.25,8\n",
        {"land": ["DE", "FR"], "2023": ["5.5", "7.25"], "2024": ["6", "8"]},
    ),
    "numbers as names": (
        "0,1,2\n5.5,6,x\n7.25,8,y\n",
        {"0": ["5.5", "7.25"], "1": ["6", "8"], "2": ["x", "y"]},
    ),
    "letters without a header": (
        "p,x,s\ne,x,s\np,y,s\ne,x,t\n",
        {"column_1": ["p", "e", "p", "e"], "column_2": ["x", "x", "y", "x"], "column_3": [*"ssst"]},
    ),
    "lines in quotes": (
        'a,b,c\n1,"x\ny",2\n3,"z, ""q""",4\n',
        {"a": ["1", "3"], "b": ["x\ny", 'z, "q"'], "c": ["2", "4"]},
    ),
    "lines in quotes at the end": ('a,b\n1,"x"\n3,"z\nq"\n', {"a": ["1", "3"], "b": ["x", "z\nq"]}),
    "inches": ('a;b\n1;5" pipe\n2;3" pipe\n', {"a": ["1", "2"], "b": ['5" pipe', '3" pipe']}),
    "blanks": ("a b c\n1 2 3\n4 5 6\n", {"a": ["1", "4"], "b": ["2", "5"], "c": ["3", "6"]}),
    "exponents and blanks": (
        "1.5e-02 2.5e+01\n3.5e-02 4.5e-01\n",
        {"column_1": ["1.5e-02", "3.5e-02"], "column_2": ["2.5e+01", "4.5e-01"]},
    ),
    "times and commas": (
        "at,n\n2024-12-31 10:00:00,1\n2024-12-31 11:00:00,2\n",
        {"at": ["2024-12-31 10:00:00", "2024-12-31 11:00:00"], "n": ["1", "2"]},
    ),
    "long texts with other separators": (
        'name,text\nA,"Hello; you; there"\nB,"Again; and; again"\n',
        {"name": ["A", "B"], "text": ["Hello; you; there", "Again; and; again"]},
    ),
    "one row": ("a,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
}


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., Given]:
    """Read what is given as a file."""

    def given(content: str | bytes, name: str = "sales.csv", **options: Any) -> Given:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(str(path), **options)

    return given


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_right(given: Callable[..., Given], name: str) -> None:
    content, columns = ODD[name]
    assert given(content).table.to_pydict() == columns


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_combination_is_read_right(given: Callable[..., Given], delimiter: str) -> None:
    for end, comma, codec, above in product(
        ("\n", "\r\n"),
        (False, True),
        ("utf-8", "utf-8-sig", "utf-16", "cp1252"),
        ("", "Sales of 2024\n", "Sales\nby Ann, Bob\n\n", "# from the till\n"),
    ):
        text = csv(delimiter, "\n", comma=comma, above=above).replace("\n", end)
        assert given(text.encode(codec)).table.to_pydict() == meant(comma), text


def test_a_german_table_is_read_and_typed(given: Callable[..., Given]) -> None:
    content = "Nr.;Preis;bezahlt am;ja?\n007;1.234,50 €;31.12.2024;ja\n008;;1.1.2025;Nein\n"
    columns = typed(given(content.encode("cp1252")).table, {})
    assert [(each.name, each.type, each.unit) for each in columns] == [
        ("nr", "string", None),
        ("Preis", "number", "€"),
        ("bezahlt_am", "datetime", None),
        ("ja", "boolean", None),
    ]
    assert pa.table({each.name: each.values for each in columns}).to_pylist() == [
        {"nr": "007", "Preis": 1234.5, "bezahlt_am": datetime(2024, 12, 31), "ja": True},
        {"nr": "008", "Preis": None, "bezahlt_am": datetime(2025, 1, 1), "ja": False},
    ]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("semicolons", "Fields are separated by ';'."),
        ("cp1252", "as cp1252 it reads Müller, Söhne, Çelik, Zoë; if wrong, name its --encoding."),
        ("UTF-16", "The text is UTF-16"),
        ("a title, an author and an empty line", "Lines above the table are left out: 3."),
        ("no header", "There is no header, so the columns are column_1 and so on."),
        ("names twice", "Column 2 is called id_2, for there are two id."),
        ("a column without name", "Column 1 is called column_1, for it has no name."),
    ],
)
def test_what_was_guessed_is_told(given: Callable[..., Given], name: str, note: str) -> None:
    assert note in "\n".join(given(ODD[name][0]).notes)


def test_the_encoding_can_be_given(given: Callable[..., Given]) -> None:
    content = "stadt;n\nŁódź;1\n".encode("cp1250")
    assert given(content).table["stadt"].to_pylist() == ["£ódŸ"]
    assert given(content, encoding="cp1250").table["stadt"].to_pylist() == ["Łódź"]
    plain = "a;b\n1;2\n".encode("utf-16-le")
    assert given(plain, encoding="utf-16-le").table.to_pydict() == {"a": ["1"], "b": ["2"]}


def test_a_file_is_known_by_what_it_holds(given: Callable[..., Given], tmp_path: Path) -> None:
    sheet = pa.table({"n": [1, 2]})
    parquet.write_table(sheet, tmp_path / "sheet.csv")
    assert read(str(tmp_path / "sheet.csv")).table == sheet
    assert given(gzip.compress(csv().encode())).table.to_pydict() == meant()
    assert given(workbook([["n", "x"], [1, "a"]])).table.to_pydict() == {"n": [1], "x": ["a"]}


def test_json_lines_keep_their_types(given: Callable[..., Given]) -> None:
    content = '{"n": 9007199254740993, "at": "2024-01-01T10:00:00+02:00"}\n{"zip": "02134"}\n'
    assert given(content).table.to_pylist() == [
        {"n": 2**53 + 1, "at": "2024-01-01T10:00:00+02:00", "zip": None},
        {"n": None, "at": None, "zip": "02134"},
    ]
    assert given(content.encode("utf-8-sig")).table.num_rows == 2
    large = f'{{"n": {2**64}}}\n{{"n": {2**64 + 1}}}\n\n{{"x": {{"y": 1.5}}, "n": "a"}}\n'
    columns = typed(given(large).table, {})
    assert [each.values.to_pylist() for each in columns] == [
        [str(2**64), str(2**64 + 1), "a"],
        [None, None, '{"y": 1.5}'],
    ]


def workbook(*sheets: list[list[Any]]) -> bytes:
    """An Excel file."""
    book = Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_a_workbook_is_read_like_a_file(given: Callable[..., Given]) -> None:
    at = datetime(2024, 1, 31, 10)
    rows = [["Sales"], [], ["id", "n", "at", "mixed"], ["007", 1, at, 1], ["008", 2.5, None, "a"]]
    table, notes = given(workbook(rows, [["other"]]))
    assert table.to_pydict() == {
        "id": ["007", "008"],
        "n": [1, 2.5],
        "at": [at, None],
        "mixed": ["1", "a"],
    }
    assert "Of 2 sheets only the first is read." in notes
    assert "Lines above the table are left out: 1." in notes


def test_parts_in_a_folder_are_one_table(given: Callable[..., Given], tmp_path: Path) -> None:
    for year, content in (("2023", "a,b\n1,x\n"), ("2024", "b;a\ny;2\n")):
        folder = tmp_path / "parts" / f"year={year}"
        folder.mkdir(parents=True)
        (folder / "part.csv").write_text(content, encoding="utf-8")
        (folder / "_SUCCESS").touch()
    table, notes = read(str(tmp_path / "parts"))
    assert table.to_pydict() == {"a": ["1", "2"], "b": ["x", "y"], "year": ["2023", "2024"]}
    assert notes[0] == "Files read, one after another: 2."


def test_parts_of_several_types_are_strings(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": [1], "code": [7], "x": [1.5]}), tmp_path / "1.parquet")
    parquet.write_table(pa.table({"n": [2.5], "code": ["a"], "x": [None]}), tmp_path / "2.parquet")
    assert read(str(tmp_path)).table.to_pydict() == {
        "n": ["1", "2.5"],
        "code": ["7", "a"],
        "x": ["1.5", None],
    }


def test_parts_with_other_columns_are_refused(given: Callable[..., Given], tmp_path: Path) -> None:
    given("a,b\n1,2\n", "1.csv")
    given("a,c\n1,2\n", "2.csv")
    with pytest.raises(UserError, match="not all files have a column b; keep others apart"):
        read(str(tmp_path))


ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w") as _archive:
    _archive.writestr("sales.csv", csv())
NO_TABLE = "is none of CSV, JSON lines, Parquet, .xlsx; save it as one of these, or name its --enc"
FAULTS: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "is empty; get a table that has rows"),
    "empty lines": ("\n\n", "is empty; get a table that has rows"),
    "a line for Excel alone": ("sep=;\n", "is empty; get a table that has rows"),
    "a header alone": ("a,b\n", "has no rows under its header; get a table that has some"),
    "a short row": ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "line 3 has 2 fields, not 3; correct it"),
    "a long row": ("T\na,b\n1,2\n4,5,6\n7,8\n", "line 4 has 3 fields, not 2; correct it"),
    "rows of two lengths": (
        "x;y\n1;2\n3;4;5\n5;6;7\n8;9;0\n",
        "has 2 fields in a line above rows of 3",
    ),
    "a row cut off": ("a,b,c\n1,2,3\n4,5", "line 3 has 2 fields, not 3; .* get the file again"),
    "a quote never closed": (
        csv() + '011,"x,1,2\n',
        "line 6 is not readable .*; look for a quote that is not closed",
    ),
    "a quote never closed in a long text": (
        "a,b\n" + '1,"x\n' + "2,3\n" * 99_999,
        "is not readable: field larger than field limit",
    ),
    "a last quote never closed": (
        csv(all_quoted=True) + '"1","2","3","4\n5,6,7,8\n',
        "line 6 is not readable .*; look for a quote that is not closed",
    ),
    "gzip cut off": (gzip.compress(csv().encode())[:-9], "is not readable: .*; get it again"),
    "gzip of nothing": (gzip.compress(b""), "is empty; get a table that has rows"),
    "bytes": (b"\x00\x01\x02\x03", NO_TABLE),
    "UTF-16 without a mark": ("a,b\n".encode("utf-16-le"), NO_TABLE),
    "two encodings": ("a,b\nü,1\n".encode() + b"\xfc,2\n", "is UTF-8 at first, but not to its end"),
    "a letter cut off": ("a,b\nü,ü".encode()[:-1], "is UTF-8 at first, but not to its end"),
    "a zip archive": (ARCHIVE.getvalue(), "is an archive, not a workbook; unpack it first"),
    "a JSON list": ('[{"a": 1}]', NO_TABLE),
    "bzip2": (bz2.compress(csv().encode()), "is none of|is not readable"),
    "a PDF document": (b"%PDF-1.7\n", NO_TABLE),
    "a header with a name too few, as R writes it": (
        csv("\t", header=HEADER[1:]),
        "has 3 fields in a line above rows of 4; correct it, so that each column has a name",
    ),
    "a separator at the end of rows": (
        "a,b\n1,2,\n3,4,\n",
        "has 2 fields in a line above rows of 3; correct it, so that each column has a name",
    ),
    "a separator at the end of rows of text": ("a,b\nx,y,\nz,y,\n", "in a line above rows of 3"),
    "a footer": (csv() + "\n(4 rows)\n", "line 7 has 1 field, not 4; correct it"),
    "columns aligned with blanks": (
        "mpg   n\n 18.0   1\n  9.5   2\n",
        "has columns aligned with blanks; save it as CSV",
    ),
    "an empty workbook": (workbook([]), "has nothing in its first sheet"),
    "a web page": ("<!DOCTYPE html>", NO_TABLE),
    "a cut Parquet file": (b"PAR1", "is not readable: .*; get it again"),
    "JSON cut off": ('{"a": 1}\n{"a":', "is not readable: Expecting value.*; get it again"),
    "a database": (b"SQLite format 3\x00", NO_TABLE),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(
    given: Callable[..., Given], name: str
) -> None:
    content, fault = FAULTS[name]
    with pytest.raises(UserError, match=fault) as refused:
        given(content)
    assert re.search(r"sales\.csv\b", str(refused.value))
    assert "\n" not in str(refused.value)


def test_what_is_not_there_is_refused(given: Callable[..., Given], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="/nowhere.csv is missing; look at the path"):
        read(str(tmp_path / "nowhere.csv"))
    with pytest.raises(UserError, match="is an empty folder"):
        read(str(tmp_path))
    with pytest.raises(UserError, match="unknown encoding: klingon"):
        given(csv(), encoding="klingon")
    with pytest.raises(UserError, match="is not readable: .*can't decode"):
        given(csv(), encoding="ascii")
