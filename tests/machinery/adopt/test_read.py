"""Real-world files: read correctly, or refused in one sentence with the fix."""

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
from machinery.adopt.plan import RawTable
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


def table(comma: bool = False, names: list[str] = HEADER) -> dict[str, list[str]]:
    """The columns of the rows."""
    columns = dict(zip(names, map(list, zip(*ROWS, strict=True)), strict=True))
    if comma:
        columns[names[2]] = [text.replace(".", ",") for text in columns[names[2]]]
    return columns


NUMBERED = [f"column_{at}" for at in range(1, 5)]
ODD: dict[str, tuple[str | bytes, dict[str, list[str]]]] = {
    "commas": (csv(), table()),
    "semicolons": (csv(";"), table()),
    "tabs": (csv("\t"), table()),
    "bars": (csv("|"), table()),
    "carets": (csv("^"), table()),
    "tildes": (csv("~"), table()),
    "decimal commas and semicolons": (csv(";", comma=True), table(comma=True)),
    "decimal commas and tabs": (csv("\t", comma=True), table(comma=True)),
    "decimal commas, quoted, and commas": (csv(comma=True), table(comma=True)),
    "all quoted": (csv(all_quoted=True), table()),
    "single quotes": (csv(quote="'"), table()),
    "Windows line ends": (csv(end="\r\n"), table()),
    "old Macintosh line ends": (csv(end="\r"), table()),
    "no end of the last line": (csv().rstrip("\n"), table()),
    "a BOM": (csv().encode("utf-8-sig"), table()),
    "a BOM, semicolons and Windows line ends": (csv(";", "\r\n").encode("utf-8-sig"), table()),
    "UTF-16": (csv("\t").encode("utf-16"), table()),
    "UTF-16, big end first": (b"\xfe\xff" + csv(";").encode("utf-16-be"), table()),
    "cp1252": (csv(";", comma=True).encode("cp1252"), table(comma=True)),
    "cp1252 and Windows line ends": (csv(end="\r\n").encode("cp1252"), table()),
    "Excel's line for the separator": (csv(";", above="sep=;\n"), table()),
    "Excel's line for a tab": (csv("\t", above='"sep=\t"\r\n', end="\r\n"), table()),
    "a title": (csv(above="Sales of 2024\n"), table()),
    "a title, an author and an empty line": (csv(";", above="Sales\nby A, B\n\n"), table()),
    "a padded title, as Excel saves it": (csv(";", above="Sales;;;\n;;;\n"), table()),
    "comments": (csv(above="# from the till\n# version 2\n"), table()),
    "a comment with commas": (csv(above="# from a, b, c\n"), table()),
    "comments with commas": (csv(above="# a, b\n# c, d\n"), table()),
    "a header with a hash": (
        csv(header=["#id", *HEADER[1:]]),
        table(names=["#id", *HEADER[1:]]),
    ),
    "a quoted title": (csv(above='"Sales, of\n2024"\n'), table()),
    "empty lines between": (csv().replace("\n008", "\n\n008"), table()),
    "no header": (csv(header=[]), table(names=NUMBERED)),
    "no header, under a title": (csv(";", header=[], above="Sales\n\n"), table(names=NUMBERED)),
    "a header of two lines": (
        csv(header=["id", "name", "price", "sold\non"], all_quoted=True),
        table(names=["id", "name", "price", "sold\non"]),
    ),
    "names with blanks around": (
        csv(header=[" id", "name ", " price", "sold on"]),
        table(),
    ),
    "names twice": (
        csv(header=["id", "id", "price", "price"]),
        table(names=["id", "id_2", "price", "price_2"]),
    ),
    "a column without name": (
        csv(header=["", "name", "price", "sold on"]),
        table(names=["column_1", *HEADER[1:]]),
    ),
    "a separator at the end of all lines": (
        csv(";").replace("\n", ";\n"),
        {**table(), "column_5": [""] * 4},
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
def read_content(tmp_path: Path) -> Callable[..., RawTable]:
    """Read the content of a file."""

    def read_content(content: str | bytes, name: str = "sales.csv", **options: Any) -> RawTable:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read(str(path), **options)

    return read_content


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_read_right(read_content: Callable[..., RawTable], name: str) -> None:
    content, columns = ODD[name]
    assert read_content(content).table.to_pydict() == columns


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_combination_is_read_right(
    read_content: Callable[..., RawTable], delimiter: str
) -> None:
    for end, comma, codec, above in product(
        ("\n", "\r\n"),
        (False, True),
        ("utf-8", "utf-8-sig", "utf-16", "cp1252"),
        ("", "Sales of 2024\n", "Sales\nby Ann, Bob\n\n", "# from the till\n"),
    ):
        text = csv(delimiter, "\n", comma=comma, above=above).replace("\n", end)
        assert read_content(text.encode(codec)).table.to_pydict() == table(comma), text


def test_a_german_table_is_read_and_typed(read_content: Callable[..., RawTable]) -> None:
    content = "Nr.;Preis;bezahlt am;ja?\n007;1.234,50 €;31.12.2024;ja\n008;;1.1.2025;Nein\n"
    columns = typed(read_content(content.encode("cp1252")).table, {})
    assert [(column.name, column.type, column.unit) for column in columns] == [
        ("nr", "string", None),
        ("Preis", "number", "€"),
        ("bezahlt_am", "datetime", None),
        ("ja", "boolean", None),
    ]
    assert pa.table({column.name: column.values for column in columns}).to_pylist() == [
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
        ("no header", "There is no header, so the columns are named column_1 and so on."),
        ("names twice", "Column 2 is called id_2 because there are two named id."),
        ("a column without name", "Column 1 is called column_1 because it has no name."),
    ],
)
def test_guesses_are_reported(read_content: Callable[..., RawTable], name: str, note: str) -> None:
    assert note in "\n".join(read_content(ODD[name][0]).notes)


def test_the_encoding_can_be_given(read_content: Callable[..., RawTable]) -> None:
    content = "stadt;n\nŁódź;1\n".encode("cp1250")
    assert read_content(content).table["stadt"].to_pylist() == ["£ódŸ"]
    assert read_content(content, encoding="cp1250").table["stadt"].to_pylist() == ["Łódź"]
    plain = "a;b\n1;2\n".encode("utf-16-le")
    assert read_content(plain, encoding="utf-16-le").table.to_pydict() == {"a": ["1"], "b": ["2"]}


def test_a_file_is_known_by_what_it_holds(
    read_content: Callable[..., RawTable], tmp_path: Path
) -> None:
    sheet = pa.table({"n": [1, 2]})
    parquet.write_table(sheet, tmp_path / "sheet.csv")
    assert read(str(tmp_path / "sheet.csv")).table == sheet
    assert read_content(gzip.compress(csv().encode())).table.to_pydict() == table()
    assert read_content(workbook([["n", "x"], [1, "a"]])).table.to_pydict() == {
        "n": [1],
        "x": ["a"],
    }


def test_json_lines_keep_their_types(read_content: Callable[..., RawTable]) -> None:
    content = '{"n": 9007199254740993, "at": "2024-01-01T10:00:00+02:00"}\n{"zip": "02134"}\n'
    assert read_content(content).table.to_pylist() == [
        {"n": 2**53 + 1, "at": "2024-01-01T10:00:00+02:00", "zip": None},
        {"n": None, "at": None, "zip": "02134"},
    ]
    assert read_content(content.encode("utf-8-sig")).table.num_rows == 2
    large = f'{{"n": {2**64}}}\n{{"n": {2**64 + 1}}}\n\n{{"x": {{"y": 1.5}}, "n": "a"}}\n'
    columns = typed(read_content(large).table, {})
    assert [column.values.to_pylist() for column in columns] == [
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


def test_a_workbook_is_read_like_a_file(read_content: Callable[..., RawTable]) -> None:
    at = datetime(2024, 1, 31, 10)
    rows = [["Sales"], [], ["id", "n", "at", "mixed"], ["007", 1, at, 1], ["008", 2.5, None, "a"]]
    table, notes = read_content(workbook(rows, [["other"]]))
    assert table.to_pydict() == {
        "id": ["007", "008"],
        "n": [1, 2.5],
        "at": [at, None],
        "mixed": ["1", "a"],
    }
    assert "Only the first of 2 sheets is read." in notes
    assert "Lines above the table are left out: 1." in notes


def test_parts_in_a_folder_are_one_table(
    read_content: Callable[..., RawTable], tmp_path: Path
) -> None:
    for year, content in (("2023", "a,b\n1,x\n"), ("2024", "b;a\ny;2\n")):
        folder = tmp_path / "parts" / f"year={year}"
        folder.mkdir(parents=True)
        (folder / "part.csv").write_text(content, encoding="utf-8")
        (folder / "_SUCCESS").touch()
    table, notes = read(str(tmp_path / "parts"))
    assert table.to_pydict() == {"a": ["1", "2"], "b": ["x", "y"], "year": ["2023", "2024"]}
    assert notes[0] == "Files read and concatenated: 2."


def test_parts_of_several_types_are_strings(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": [1], "code": [7], "x": [1.5]}), tmp_path / "1.parquet")
    parquet.write_table(pa.table({"n": [2.5], "code": ["a"], "x": [None]}), tmp_path / "2.parquet")
    assert read(str(tmp_path)).table.to_pydict() == {
        "n": ["1", "2.5"],
        "code": ["7", "a"],
        "x": ["1.5", None],
    }


def test_parts_with_other_columns_are_refused(
    read_content: Callable[..., RawTable], tmp_path: Path
) -> None:
    read_content("a,b\n1,2\n", "1.csv")
    read_content("a,c\n1,2\n", "2.csv")
    with pytest.raises(UserError, match="not all files have a column b; keep those apart"):
        read(str(tmp_path))


ARCHIVE = io.BytesIO()
with zipfile.ZipFile(ARCHIVE, "w") as _archive:
    _archive.writestr("sales.csv", csv())
NO_TABLE = "is not CSV, JSON lines, Parquet or .xlsx; save it as one of these, or name its --enc"
FAULTS: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "is empty; get a table that has rows"),
    "empty lines": ("\n\n", "is empty; get a table that has rows"),
    "a line for Excel alone": ("sep=;\n", "has no rows under its header"),
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
    "bzip2": (bz2.compress(csv().encode()), "is not CSV|is not readable"),
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
    read_content: Callable[..., RawTable], name: str
) -> None:
    content, fault = FAULTS[name]
    with pytest.raises(UserError, match=fault) as refused:
        read_content(content)
    assert re.search(r"sales\.csv\b", str(refused.value))
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_wrong_encoding_are_refused(
    read_content: Callable[..., RawTable], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="/nowhere.csv is missing; check the path"):
        read(str(tmp_path / "nowhere.csv"))
    with pytest.raises(UserError, match="is an empty folder"):
        read(str(tmp_path))
    with pytest.raises(UserError, match="unknown encoding: klingon"):
        read_content(csv(), encoding="klingon")
    with pytest.raises(UserError, match="is not readable: .*can't decode"):
        read_content(csv(), encoding="ascii")
