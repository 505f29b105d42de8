"""table: typed columns and what --set says of them in; each looked at, by either name, out."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import get_args
from zlib import crc32

import numpy as np

from machinery.pipeline.files import UserError

from .facts import Facts, look, personal
from .plan import Type, Typed, Use

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "type": get_args(Type),
    "use": get_args(Use),
    "known": ("before", "after"),
    "personal": ("true", "false"),
    "identifier": ("true", "false"),
    "unit": (),
    "positive": (),
}
MIX = np.uint64(0x9E3779B97F4A7C15)


class Table:
    """The columns by their new names, and what was set of each.

    After `scan`, `facts` tells of each, `digests` are equal of columns that tell the same, and
    `personal` has the reason where one seems to be. `repeated` counts rows that repeat another
    one, `alike` the sets of rows that differ in the target at most, `mixed` those that do.
    """

    def __init__(self, columns: Sequence[Typed], overrides: Mapping[str, str]) -> None:
        """Check what is set.

        Raises:
            UserError: naming a column, an attribute or a value that is not there.
        """
        self.columns = {each.name: each for each in columns}
        self.settings: dict[str, dict[str, str]] = {name: {} for name in self.columns}
        for place, value in overrides.items():
            name, _, attribute = place.rpartition(".")
            option = f"--set {place}={value}"
            if attribute not in ATTRIBUTES:
                raise UserError(f"{option}: after the column comes one of {', '.join(ATTRIBUTES)}")
            values = ATTRIBUTES[attribute]
            if values and value not in values:
                raise UserError(f"{option}: {attribute} is one of {', '.join(values)}")
            self.settings[self.find(name, "--set")][attribute] = value

    def find(self, name: str, option: str) -> str:
        """The new name of the column that has this name, as given or new.

        Raises:
            UserError: with the nearest name, when no column has it.
        """
        names = {each.given: each.name for each in self.columns.values()}
        names |= {each: each for each in self.columns}
        if name not in names:
            folded = {each.casefold(): each for each in names}
            near = get_close_matches(name.casefold(), folded, 1, 0)
            raise UserError(f"{option} {name}: no such column; is it {folded[near[0]]}?")
        return names[name]

    def keep_labelled(self, target: str) -> int:
        """Leave out rows without a target; how many they were."""
        values = self.columns[target].values
        if values.null_count:
            rows = values.is_valid()
            for name, each in self.columns.items():
                self.columns[name] = each._replace(values=each.values.filter(rows))
        return int(values.null_count)

    def scan(self, target: str) -> None:
        """Look at all columns once."""
        self.rows = len(self.columns[target].values)
        self.facts: dict[str, Facts] = {}
        self.digests: dict[str, int] = {}
        random = np.random.default_rng(1)
        weights = random.integers(2**64, size=self.rows, dtype=np.uint64)
        self._hashes = np.zeros(self.rows, dtype=np.uint64)
        for name, each in self.columns.items():
            self.facts[name], bits = look(each.values)
            self.digests[name] = int(np.dot(bits, weights))
            self._hashes += _mixed(bits, name)
        first = np.unique(self._hashes, return_index=True)[1]
        self.different, self.repeated = len(first), self.rows - len(first)
        without = self._without(target)
        self.alike, self.mixed = _several(without), _several(without[first])
        self.personal = {
            name: reason
            for name, each in self.columns.items()
            if name != target and (reason := self._personal(each))
        }

    def alike_but_for(self, key: str) -> int:
        """How many rows repeat another one in all but the key."""
        return self.rows - len(np.unique(self._without(key)))

    def is_set(self, name: str, attribute: str, value: str) -> bool:
        """Whether --set says so."""
        return self.settings[name].get(attribute) == value

    def _without(self, name: str) -> np.ndarray:
        """Hashes of the rows without the column."""
        return np.asarray(self._hashes - _mixed(look(self.columns[name].values)[1], name))

    def _personal(self, column: Typed) -> str | None:
        if forced := self.settings[column.name].get("personal"):
            return "as --set says" if forced == "true" else None
        return personal(column, self.facts[column.name])


def _mixed(bits: np.ndarray, name: str) -> np.ndarray:
    """Bits that differ in all places, and from those of other columns."""
    mixed = (bits + np.uint64(crc32(name.encode()))) * MIX
    mixed = (mixed ^ (mixed >> np.uint64(32))) * MIX
    return np.asarray(mixed)


def _several(values: np.ndarray) -> int:
    """How many values occur more than once."""
    return int((np.unique(values, return_counts=True)[1] > 1).sum())
