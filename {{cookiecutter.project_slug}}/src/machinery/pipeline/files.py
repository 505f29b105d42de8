"""Read tables and documents, and write them atomically."""

import json
import marshal
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SIGNIFICANT_DIGITS = 6
ROW_GROUP = 100_000  # rows of a Parquet row group, the unit of reading and of parallel work
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
PORTABLE = re.compile(  # booleans and numbers that YAML 1.1 and 1.2 read alike
    r"(?i:true|false|[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[-+]?\d+)?|[-+]?\.inf|\.nan)"
)


class UserError(Exception):
    """A mistake that the user can fix: one sentence that names the file, the place and the fix."""

    exit_code = 2


class CheckError(UserError):
    """A failed check: one sentence that says what is wrong, where, and how to fix it."""

    exit_code = 1


def read_table(path: Path, columns: Iterable[str] | None = None) -> "pd.DataFrame":
    """Read a Parquet file, or only the named columns, into pandas."""
    table: pd.DataFrame = read_arrow(path, columns).to_pandas()
    return table


def read_arrow(path: Path, columns: Iterable[str] | None = None) -> "pa.Table":
    """Read a Parquet file, or only the named columns, into Arrow."""
    from pyarrow.parquet import read_table

    names = None if columns is None else list(columns)
    try:
        return read_table(path, columns=names, partitioning=None)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable Parquet file: {first_line(error)}") from error


def write_table(table: "pd.DataFrame | pa.Table", path: Path) -> None:
    """Write a Parquet file whose bytes depend on the table alone."""
    import pyarrow as pa
    from pyarrow import parquet

    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    options = {"compression": "zstd", "row_group_size": ROW_GROUP}
    replace(path, lambda part: parquet.write_table(table, part, **options))


def read_json(path: Path) -> Any:
    """Read a JSON document."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise UserError(f"{path} is not readable JSON: {first_line(error)}") from error


def write_json(document: Any, path: Path) -> None:
    """Write indented JSON with `rounded` floats."""
    write_text(json.dumps(rounded(document), indent=2, ensure_ascii=False) + "\n", path)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping."""
    try:
        return parse_yaml(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; restore it with 'git checkout {path}'") from None


def parse_yaml(text: bytes, name: str) -> dict[str, Any]:
    """Parse a YAML mapping; errors give `name`, line and column."""
    import yaml

    try:
        document = yaml.load(text, _yaml_loader())
        marshal.dumps(document)  # refuses deep nesting, in time linear in what anchors share
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UserError(f"{name} is not readable YAML: {error.problem}{place}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{name} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{name} has no 'name: value' lines; restore it with git checkout")
    return document


@cache
def _yaml_loader() -> Any:
    """PyYAML's loader, in C if available, restricted to what YAML 1.1 and 1.2 read alike.

    PyYAML reads 1.1, DVC 1.2. So 1e-05 is a number; a date, and a boolean or number of one version
    only, is refused, as is a duplicate key.
    """
    import yaml

    def fault(node: Any, problem: str) -> Exception:
        return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key in set(keys):
                keys.remove(key)
            if keys:
                raise fault(node, f"{keys[0]} is a duplicate key; keep one of them")
            return super().construct_mapping(node, deep)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            if kind in ("bool", "int", "float", "timestamp") and not PORTABLE.fullmatch(node.value):
                remedy = "put it in quotes, or write true, false or a plain number"
                raise fault(node, f"{node.value} differs between versions of YAML; {remedy}")
            return super().construct_object(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, [*"+-0123456789"])
    return Loader


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text with LF line endings on every system."""
    replace(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def rounded(value: Any) -> Any:
    """Round floats to six significant digits; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value


def times(count: int) -> str:
    """The count in words, such as `once` or `3 times`."""
    return "once" if count == 1 else f"{count} times"


def missing(path: Path) -> UserError:
    """The error for a missing output of the pipeline."""
    return UserError(f"{path} is missing; run 'dvc repro' to make it or 'dvc pull' to fetch it")


def printable(value: object) -> str:
    """Text on one line, without characters that control a terminal, a browser or a parser."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def first_line(error: Exception) -> str:
    """The first line of an exception's message, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
