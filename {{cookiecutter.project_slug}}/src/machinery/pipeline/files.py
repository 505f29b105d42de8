"""files: reads tables and documents, and writes them whole or not at all."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT_DIGITS = 6


class UserError(Exception):
    """A mistake that the user can fix: one sentence with the file, the place and the remedy."""

    exit_code = 2


class CheckError(UserError):
    """A check that failed: one sentence with what is wrong, where, and what to do."""

    exit_code = 1


def read_table(path: Path, columns: Iterable[str] | None = None) -> "pd.DataFrame":
    """The Parquet file as a table, or only the named columns of it."""
    import pandas as pd

    wanted = None if columns is None else list(columns)
    try:
        return pd.read_parquet(path, columns=wanted)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable Parquet file: {first_line(error)}") from error


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a Parquet file whose bytes depend on the table alone."""
    replace(path, lambda part: table.to_parquet(part, compression="zstd", index=False))


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
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} holds no 'name: value' lines; restore it with git checkout")
    return document


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


def missing(path: Path) -> UserError:
    """The error of a file that is not there."""
    return UserError(f"{path} is missing; run 'dvc repro' to make it or 'dvc pull' to fetch it")


def first_line(error: Exception) -> str:
    """What an exception says, on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
