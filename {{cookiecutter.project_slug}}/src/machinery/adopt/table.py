"""A table to adopt: its columns with a target, what --set says, and statistics."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from hashlib import sha256
from typing import get_args
from zlib import crc32

import numpy as np
import pandas as pd
from pandas.util import hash_array

from machinery.pipeline.files import UserError

from .facts import codes, personal, summarize
from .plan import Type, TypedColumn, Use

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "type": get_args(Type),
    "use": get_args(Use),
    "known": ("before", "after"),
    "personal": ("true", "false"),
    "identifier": ("true", "false"),
    "unit": (),
    "positive": (),
}


class Table:
    """The columns by name, without the rows that have no target.

    `settings` has what --set says of a column. `digests` are equal for columns with the same
    information, `personal` has the reason why a column seems personal. `repeated` counts rows that
    repeat another one, `alike` the sets of rows that differ at most in the target, `mixed` the
    sets that do.
    """

    def __init__(
        self, columns: Sequence[TypedColumn], target: str, overrides: Mapping[str, str]
    ) -> None:
        """Check the names and settings, and leave out rows without a target.

        Raises:
            UserError: naming a column, an attribute or a value that does not exist.
        """
        self.columns = {column.name: column for column in columns}
        self.settings: dict[str, dict[str, str]] = {name: {} for name in self.columns}
        for key, value in overrides.items():
            name, _, attribute = key.rpartition(".")
            option = f"--set {key}={value}"
            if attribute not in ATTRIBUTES:
                raise UserError(f"{option}: after the column comes one of {', '.join(ATTRIBUTES)}")
            values = ATTRIBUTES[attribute]
            if values and value not in values:
                raise UserError(f"{option}: {attribute} is one of {', '.join(values)}")
            self.settings[self.find(name, "--set")][attribute] = value
        self.target = self.find(target, "--target")
        labels = self.columns[self.target].values
        self.unlabelled = int(labels.null_count)
        if self.unlabelled:
            labelled = labels.is_valid()
            for name, column in self.columns.items():
                self.columns[name] = column._replace(values=column.values.filter(labelled))
        self.rows = len(labels) - self.unlabelled

    def find(self, name: str, option: str) -> str:
        """The name of the column with this header or name.

        Raises:
            UserError: with the most similar name, if there is no such column.
        """
        names = {column.header: column.name for column in self.columns.values()}
        names |= {name: name for name in self.columns}
        if name not in names:
            folded = {name.casefold(): name for name in names}
            similar = get_close_matches(name.casefold(), folded, 1, 0)
            raise UserError(f"{option} {name}: no such column; is it {folded[similar[0]]}?")
        return names[name]

    def scan(self) -> None:
        """Compute the statistics of columns and rows."""
        self.summaries = {name: summarize(column.values) for name, column in self.columns.items()}
        self.digests: dict[str, bytes] = {}
        self._hashes = np.zeros(self.rows, dtype=np.uint64)
        for name, column in self.columns.items():
            values = codes(column.values)
            self.digests[name] = sha256(values.tobytes()).digest()
            self._hashes += _hashes(values, name)
        self.different = len(pd.unique(self._hashes))
        self.repeated = self.rows - self.different
        rows = pd.Series(self._hashes).groupby(self._hashes_without(self.target))
        self.alike, self.mixed = int((rows.size() > 1).sum()), int((rows.nunique() > 1).sum())
        self.personal = {
            name: reason
            for name, column in self.columns.items()
            if name != self.target and (reason := self._personal(column))
        }

    def repeated_without(self, name: str) -> int:
        """How many rows repeat another one in all columns but this one."""
        return self.rows - len(pd.unique(self._hashes_without(name)))

    def is_set(self, name: str, attribute: str, value: str) -> bool:
        """Whether --set gives the attribute this value."""
        return self.settings[name].get(attribute) == value

    def _hashes_without(self, name: str) -> np.ndarray:
        return np.asarray(self._hashes - _hashes(codes(self.columns[name].values), name))

    def _personal(self, column: TypedColumn) -> str | None:
        if forced := self.settings[column.name].get("personal"):
            return "as --set says" if forced == "true" else None
        return personal(column, self.summaries[column.name])


def _hashes(values: np.ndarray, name: str) -> np.ndarray:
    """A hash of each value, different in each column."""
    return np.asarray(
        hash_array(values, categorize=False) * np.uint64(2 * crc32(name.encode()) + 1)
    )
