"""log_records: what requests handed over in; records, as they stand in a journal, out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from machinery.pipeline.model.answers import Answers

if TYPE_CHECKING:
    from machinery.pipeline.data.contract import Contract

PARTS = ("prediction", "decision", "members", "low", "high")  # of answers


class Block(NamedTuple):
    """Columns of one type: raw ones or features, their names, and NumPy's type; none of texts."""

    raw: bool
    names: tuple[str, ...]
    kind: str


class Layout(msgspec.Struct, array_like=True, tag=0, frozen=True, gc=False):
    """What the parts of an answered batch are: blocks of columns, then parts of the answers.

    A part of the answers has a name, NumPy's type, and so many columns, none where it is flat.
    """

    role: str
    model_version: str
    blocks: tuple[Block, ...]
    answers: tuple[tuple[str, str, int], ...]


class Schema(msgspec.Struct, array_like=True, gc=False):
    """What tables take from the contract: raw columns and the target by type, and the classes."""

    raw: Mapping[str, str]
    target: str
    classes: list[str]


class Answered(msgspec.Struct, array_like=True, tag=1, gc=False):
    """The rows of requests that were scored together, and their answers.

    A part is a text column's values by column, or the bytes of a block of numbers row by row.
    """

    layout: int
    time: int
    request_ids: Sequence[str]
    lengths: Sequence[int]
    parts: list[Any]


class Outcome(msgspec.Struct, array_like=True, tag=2, gc=False):
    """The true outcome of one row."""

    time: int
    request_id: str
    row: int
    outcome: Any


Record = Layout | Answered | Outcome
ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Record)


def schema(contract: "Contract") -> Schema:
    """The contract's part of what is logged."""
    columns = contract.columns
    raw = {name: columns[name].type for name in contract.known_before()}
    return Schema(raw, columns[contract.target].type, contract.class_names)


def layout(
    role: str,
    model_version: str,
    raw: Mapping[str, np.ndarray],
    features: Mapping[str, np.ndarray],
    answers: Answers,
) -> Layout:
    """Put together what is of one type: a few parts cost less than many small ones."""
    blocks: dict[tuple[bool, str], list[str]] = {}
    for is_raw, columns in ((True, raw), (False, features)):
        for name, values in columns.items():
            kind = "" if values.dtype.kind in "OUT" else values.dtype.str
            blocks.setdefault((is_raw, kind), []).append(name)
    parts = [(name, part) for name in PARTS if (part := getattr(answers, name)) is not None]
    return Layout(
        role,
        model_version,
        tuple(Block(is_raw, tuple(names), kind) for (is_raw, kind), names in blocks.items()),
        tuple((name, part.dtype.str, sum(part.shape[1:])) for name, part in parts),
    )


def pack(
    layout: Layout,
    raw: Mapping[str, np.ndarray],
    features: Mapping[str, np.ndarray],
    answers: Answers,
) -> list[Any]:
    """The parts of a batch.

    Raises:
        TypeError: when a column of numbers holds texts now.
        ValueError: when columns have no value for each row.
    """
    rows, parts = len(answers.prediction), list[Any]()
    for block in layout.blocks:
        columns = raw if block.raw else features
        given = [columns[name] for name in block.names]
        if block.kind:
            joined = np.concatenate(given, dtype=block.kind)
            parts.append(joined.reshape(len(given), rows).T.tobytes())
        else:
            parts.append([each.tolist() for each in given])
    parts += [getattr(answers, name).tobytes() for name, _, _ in layout.answers]
    return parts
