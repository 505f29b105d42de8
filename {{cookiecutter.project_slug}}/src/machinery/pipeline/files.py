"""files: reads tables and documents, and writes them whole or not at all."""

import json
import marshal
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SIGNIFICANT_DIGITS = 6
ROW_GROUP = 100_000  # rows of a Parquet file that are read, and worked on, by themselves
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
ALIKE = re.compile(  # booleans and numbers of YAML 1.1 that are the same in 1.2
    r"(?i:true|false|[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[-+]?\d+)?|[-+]?\.inf|\.nan)"
)


class UserError(Exception):
    """A mistake that the user can fix: one sentence with the file, the place and the remedy."""

    exit_code = 2


class CheckError(UserError):
    """A check that failed: one sentence with what is wrong, where, and what to do."""

    exit_code = 1


def read_table(path: Path, columns: Iterable[str] | None = None) -> "pd.DataFrame":
    """The Parquet file as a table of pandas, or only the named columns of it."""
    table: pd.DataFrame = read_arrow(path, columns).to_pandas()
    return table


def read_arrow(path: Path, columns: Iterable[str] | None = None) -> "pa.Table":
    """The Parquet file as a table, or only the named columns of it."""
    from pyarrow.parquet import read_table

    wanted = None if columns is None else list(columns)
    try:
        return read_table(path, columns=wanted, partitioning=None)
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
    how = {"compression": "zstd", "row_group_size": ROW_GROUP}
    replace(path, lambda part: parquet.write_table(table, part, **how))


def read_json(path: Path) -> Any:
    """The JSON document in the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise UserError(f"{path} is not readable JSON: {first_line(error)}") from error


def write_json(document: Any, path: Path) -> None:
    """Write indented JSON; floats keep six significant digits, since further ones are noise."""
    write_text(json.dumps(rounded(document), indent=2, ensure_ascii=False) + "\n", path)


def read_yaml(path: Path) -> dict[str, Any]:
    """The YAML mapping in the file."""
    try:
        return parse_yaml(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; restore it with 'git checkout {path}'") from None


def parse_yaml(text: bytes, place: str) -> dict[str, Any]:
    """The YAML mapping. Raises UserError with the place where it is not one."""
    import yaml

    try:
        document = yaml.load(text, _yaml_loader())
        marshal.dumps(document)  # refuses what is nested too deeply; of what is shared, once
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise UserError(f"{place} is not readable YAML: {error.problem}{where}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{place} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{place} holds no 'name: value' lines; restore it with git checkout")
    return document


@cache
def _yaml_loader() -> Any:
    """PyYAML's loader, in C where it has one, of what YAML 1.1 and 1.2 read alike.

    PyYAML reads 1.1, DVC reads and writes 1.2: 1e-05 is a number, and what is a date, a boolean or
    a number in one of them alone is refused. So is a key that is there twice.
    """
    import yaml

    def refused(node: Any, fault: str) -> Exception:
        return yaml.constructor.ConstructorError(None, None, fault, node.start_mark)

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for key in set(keys):
                keys.remove(key)
            if keys:
                raise refused(node, f"{keys[0]} is there twice; keep one of them")
            return super().construct_mapping(node, deep)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            if kind in ("bool", "int", "float", "timestamp") and not ALIKE.fullmatch(node.value):
                remedy = "put it in quotes, or write true, false or a plain number"
                raise refused(node, f"{node.value} differs between versions of YAML; {remedy}")
            return super().construct_object(node, deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, [*"+-0123456789"])
    return Loader


def write_text(text: str, path: Path) -> None:
    """Write UTF-8 text with LF line ends on every system."""
    replace(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def rounded(value: Any) -> Any:
    """The document, its floats with six significant digits; NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        finite = value == value and abs(value) != float("inf")
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if finite else None
    return value


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def missing(path: Path) -> UserError:
    """The error of a file that is not there."""
    return UserError(f"{path} is missing; run 'dvc repro' to make it or 'dvc pull' to fetch it")


def first_line(error: Exception) -> str:
    """What an exception says, on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
