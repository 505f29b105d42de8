"""work: an unfinished output; parts are kept beside it until it is whole, so that it can go on."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pyarrow as pa

from machinery.pipeline.files import UserError
from .rows import Predicted
from .source import Position
from .storage import beside, name_of, storage_of
from .writer import Writer, join

BEGUN = "begun.json"
GOOD, BAD = "rows", "bad"


class Done(NamedTuple):
    """What the parts written so far hold, and where the next one begins."""

    position: Position = Position()
    parts: int = 0
    rows: int = 0
    bad: int = 0
    violations: dict[str, int] = {}  # noqa: RUF012
    complete: bool = False


class Work:
    """The parts of one output, in a hidden folder beside it.

    A part is its good rows, its bad rows, then a note of what is done; one without its note counts
    as not there. The output and the file of bad rows appear when all parts do.
    """

    def __init__(self, target: str, kind: str, *, folder: bool) -> None:
        """Nothing is made before `begin`."""
        self.target, self.kind, self._folder = target.rstrip("/"), kind, folder
        name = name_of(self.target)
        self.bad_target = beside(self.target, f"{name.removesuffix('.' + kind)}.bad.{kind}")
        self._place = beside(self.target, f".{name}.unfinished")
        self._storage = storage_of(target)

    def exists(self) -> bool:
        """Whether the output stands there already."""
        return bool(self._storage.find(self.target))

    def begin(self, identity: dict[str, Any]) -> Done:
        """Forget what an earlier run has left, and start."""
        self._storage.remove(self._place)
        self._write(BEGUN, identity)
        return Done()

    def resume(self, identity: dict[str, Any]) -> Done | None:
        """What an earlier run with the same input, model and form has done; None without one.

        Raises:
            UserError: when it was another input, model or form.
        """
        begun = self._read(BEGUN)
        if begun is None:
            return None
        if changed := [name for name in identity if begun.get(name) != identity[name]]:
            raise UserError(
                f"{self._place} was begun with another {changed[0]}; run without --resume"
            )
        return self._done()

    def write(
        self, done: Done, parts: Iterator[Predicted], schema: pa.Schema, bad_schema: pa.Schema
    ) -> Counter[str]:
        """Write the files of a part; its note is written by `note`."""
        counts: Counter[str] = Counter()
        header = self._folder or not done.parts
        with ExitStack() as stack:
            places = [self._part(each, done.parts) for each in (GOOD, BAD)]
            new = [stack.enter_context(self._storage.new(place)) for place in places]
            good = stack.enter_context(Writer(new[0], self.kind, schema, header))
            bad = stack.enter_context(Writer(new[1], self.kind, bad_schema, not done.parts))
            for part in parts:
                good.write(part.good)
                bad.write(part.bad)
                counts.update(part.counts)
                counts["good"] += len(part.good)
                counts["bad"] += len(part.bad)
        return counts

    def note(self, done: Done) -> None:
        """From here on the part counts."""
        self._write(f"done-{done.parts - 1:06}.json", done._asdict())

    def finish_bad(self, done: Done, schema: pa.Schema) -> None:
        """Bring the bad rows to their place; where there are none, no file stays."""
        if done.bad:
            self._join(BAD, self.bad_target, done.parts, schema)
        else:
            self._storage.remove(self.bad_target)

    def finish(self, done: Done, schema: pa.Schema) -> None:
        """Bring the output to its place, and remove what was kept beside it."""
        if not self._folder and done.parts > 1:
            self._join(GOOD, self.target, done.parts, schema)
        else:  # what is missing was moved before a run was killed
            whole = f"{self._place}/{GOOD}" if self._folder else self._part(GOOD, 0)
            if self._storage.find(whole):
                self._storage.move(whole, self.target)
        self._storage.remove(self._place)

    def _join(self, which: str, target: str, parts: int, schema: pa.Schema) -> None:
        places = (self._part(which, number) for number in range(parts))
        with self._storage.new(target) as path:
            join((self._storage.open(place) for place in places), path, self.kind, schema)

    def _part(self, which: str, number: int) -> str:
        return f"{self._place}/{which}/part-{number:06}.{self.kind}"

    def _done(self) -> Done:
        found, number = Done(), 0
        while (noted := self._read(f"done-{number:06}.json")) is not None:
            found = Done(**{**noted, "position": Position(*noted["position"])})
            number += 1
        return found

    def _write(self, name: str, document: Any) -> None:
        with self._storage.new(f"{self._place}/{name}") as path:
            path.write_text(json.dumps(document), encoding="utf-8")

    def _read(self, name: str) -> Any:
        place = f"{self._place}/{name}"
        if not self._storage.find(place):
            return None
        with self._storage.open(place) as file:
            return json.load(file)
