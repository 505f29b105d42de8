"""rows: the folder of a prediction log in; its rows by window of data time out.

What cannot be used is counted in `faults`, by a sentence: nothing is left out in silence. The log
is read once, file by file; of each window every prediction is kept, and a sample of the whole rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from machinery.pipeline.compute import ParallelMap, local_map
from machinery.pipeline.data.columns import arrow_type
from machinery.pipeline.data.contract import Contract, Range
from machinery.pipeline.files import UserError
from machinery.serving import log_files

if TYPE_CHECKING:
    import pandas as pd

ABOUT = ("request_id", "row", "time", "role", "model_version")
CHAMPION = "champion"
AHEAD = timedelta(days=366)  # from an answer to the data time of its row, at most
MONDAY = 3  # days from the first Monday of the epoch back to its start, a Thursday


@dataclass(frozen=True)
class Window:
    """A span of data time.

    `rows` has every prediction: `at`, `role`, `model_version`, `target` (a class code or value, NaN
    without an outcome), the prediction under the contract's names, and `raw_*` columns to slice and
    group by. `sample` has some of the champion's, with all their `raw_*` and `feature_*`.
    """

    start: datetime
    end: datetime
    rows: "pd.DataFrame"
    sample: "pd.DataFrame"

    @property
    def name(self) -> str:
        """Its first day, or its month."""
        month = self.start.day == 1 and (self.end - self.start).days >= 28
        return f"{self.start:%Y-%m}" if month else f"{self.start:%Y-%m-%d}"

    def of(self, version: str) -> "pd.DataFrame":
        """The rows that a model answered as the champion."""
        rows = self.rows
        return rows[(rows["role"] == CHAMPION) & (rows["model_version"] == version)]

    @property
    def version(self) -> str:
        """The model that answered most of them."""
        rows = self.rows
        return str(rows["model_version"][rows["role"] == CHAMPION].value_counts().idxmax())


class Reader:
    """Reads the log into windows; see `windows` and `faults`."""

    def __init__(self, contract: Contract, window: str, sample_rows: int, kept: list[str]) -> None:
        """Rows keep the columns `kept`; a sample has at most so many rows of a window."""
        self.faults: Counter[str] = Counter()
        self._contract, self._window, self._most = contract, window, sample_rows
        self._kept = [f"raw_{name}" for name in kept if name in contract.known_before()]
        self._rows: list[pd.DataFrame] = []
        self._samples: dict[Any, pd.DataFrame] = {}
        self._span: list[pd.Timestamp] = []  # of all rows, in the span or not
        self.logged: datetime | None = None  # when the newest row was

    def read(
        self,
        folder: Path,
        start: datetime | None = None,
        end: datetime | None = None,
        spread: ParallelMap = local_map,
    ) -> list[Window]:
        """The windows of the rows from `start` on and before `end`, oldest first.

        Raises:
            UserError: when there are none.
        """
        import pandas as pd

        outcomes = log_files.newest_outcomes(folder)
        count, known = self._counter("lines cannot be read"), 0
        for table in log_files.stream(folder, count, spread):
            joined = log_files.with_outcomes(table, outcomes)
            known += int(np.sum(joined["outcome_time"].is_valid().to_numpy() & _champion(joined)))
            if (typed := self._typed(joined)) is not None:
                self._add(typed, start, end)
        if outcomes is not None:
            given = outcomes["times"].to_numpy()
            self._counter("outcomes are of a request that the log lacks")(len(given) - known)
            self._counter("outcomes were given again; the newest counts")(int((given - 1).sum()))
        rows = pd.concat(self._rows, ignore_index=True) if self._rows else None
        if rows is not None and (windows := [*self._windows(rows)]):
            return windows
        has = f" of its {min(self._span)} to {max(self._span)}" if self._span else ""
        raise UserError(
            f"{folder} holds no answers of a champion in the span{has}; check the folder's name, "
            f"--from and --to{self._told()}"
        )

    def _windows(self, rows: "pd.DataFrame") -> Iterator[Window]:
        import pandas as pd

        for start, part in rows.groupby("window", sort=True):
            first = pd.Timestamp(str(start)).to_pydatetime()
            if not (part["role"] == CHAMPION).any():
                continue
            sample = self._samples.pop(start).drop(columns="draw").reset_index(drop=True)
            yield Window(first, _next(first, self._window), part.drop(columns="window"), sample)

    def _counter(self, fault: str) -> Callable[[int], None]:
        def count(rows: int) -> None:
            if rows > 0:
                self.faults[fault] += rows

        return count

    def _told(self) -> str:
        return "".join(f"; {rows} {fault}" for fault, rows in self.faults.items())

    def _typed(self, table: pa.Table) -> pa.Table | None:
        """The table with the raw columns of today's contract; None if it cannot have them."""
        contract, added = self._contract, {}
        predicted = [f"probability_{each}" for each in contract.class_names] or ["prediction"]
        lacking = [name for name in predicted if name not in table.column_names]
        try:
            for name in contract.known_before():
                kind, column = arrow_type(contract.columns[name].type), f"raw_{name}"
                if column in table.column_names:
                    added[column] = table[column].cast(kind)
                else:
                    added[column] = pa.nulls(len(table), kind)
        except pa.ArrowException:
            lacking.append(name)
        if lacking:
            self._counter("rows are of another contract")(len(table))
            return None
        values = [name for name in table.column_names if name.startswith("feature_")]
        names = [*ABOUT, *log_files.OUTCOME, *predicted, *values]
        return pa.table({name: table[name] for name in names} | added)

    def _add(self, table: pa.Table, start: datetime | None, end: datetime | None) -> None:
        import pandas as pd

        contract = self._contract
        rows = table.select([*ABOUT, *log_files.OUTCOME, *self._kept]).to_pandas()
        early = rows["outcome_time"] < rows["time"]
        self._counter("outcomes are dated before their answer")(int(early.sum()))
        rows["target"] = self._targets(rows["outcome"])
        logged = rows["time"].dt.tz_localize(None)
        known = contract.time in contract.known_before()
        rows["at"] = table[f"raw_{contract.time}"].to_pandas() if known else logged
        rows["at"] = rows["at"].astype("datetime64[us]")
        for name in contract.class_names:
            rows[contract.added(f"probability_{name}")] = table[f"probability_{name}"].to_pandas()
        if not contract.class_names:
            rows[contract.added("prediction")] = table["prediction"].to_pandas()
        rows["window"] = _first_days(rows["at"].to_numpy(), self._window)
        rows["draw"] = pd.util.hash_pandas_object(rows[["request_id", "row"]], index=False)
        wanted = rows["at"].notna()
        self._counter("rows have no time")(int((~wanted).sum()))
        late = rows["at"] > logged + AHEAD
        self._counter("rows are dated more than a year ahead")(int(late.sum()))
        finite = np.isfinite(contract.gather(rows).astype(np.float64).reshape(len(rows), -1))
        lacks = wanted & ~finite.all(axis=1)
        self._counter("rows have no finite prediction")(int(lacks.sum()))
        wanted &= ~late & ~lacks
        if wanted.any():
            self._span += [rows.loc[wanted, "at"].min(), rows.loc[wanted, "at"].max()]
        newest = logged.max().to_pydatetime()
        self.logged = max(self.logged or newest, newest)
        wanted &= (rows["at"] >= start) if start else True
        wanted &= (rows["at"] < end) if end else True
        rows = rows.drop(columns=["request_id", "row", "time", *log_files.OUTCOME])
        self._draw(table, rows[wanted])
        if wanted.any():
            self._rows.append(rows[wanted].drop(columns="draw"))

    def _draw(self, table: pa.Table, rows: "pd.DataFrame") -> None:
        """Add to the samples, which are the rows with the smallest keys."""
        import pandas as pd

        names = [name for name in table.column_names if name.startswith(("raw_", "feature_"))]
        for window, part in rows[rows["role"] == CHAMPION].groupby("window"):
            before = self._samples.get(window)
            drawn = part.nsmallest(self._most, "draw")
            if before is not None and len(before) == self._most:
                drawn = drawn[drawn["draw"] <= before["draw"].max()]
            values = table.select(names).take(pa.array(drawn.index)).to_pandas()
            whole = [drawn.drop(columns=["window", *self._kept]).reset_index(drop=True), values]
            sample = pd.concat([before, pd.concat(whole, axis=1)], ignore_index=True)
            self._samples[window] = sample.nsmallest(self._most, "draw")

    def _targets(self, outcomes: "pd.Series[Any]") -> np.ndarray:
        """Class codes or values; NaN where there is none, or it is none of the target."""
        import pandas as pd

        if self._contract.task == "regression":
            found = pd.to_numeric(outcomes, errors="coerce")
        else:
            contract = self._contract  # a class may be there as its name, see log_files
            codes = {value: code for code, value in enumerate(contract.classes)}
            codes |= {name: code for code, name in enumerate(contract.class_names)}
            found = outcomes.map(lambda value: codes.get(value, np.nan), na_action="ignore")
        target = self._contract.columns[self._contract.target]
        with np.errstate(over="ignore"):
            found = found.where(np.isfinite(found.astype(np.float32)))
        if isinstance(target.allowed, Range):
            low, high = target.allowed.min, target.allowed.max
            ends = -inf if low is None else low, inf if high is None else high
            found = found.where(found.between(*ends))
        wrong = int((outcomes.notna() & found.isna()).sum())
        self._counter(f"outcomes are no value of {self._contract.target}")(wrong)
        return found.to_numpy(dtype=np.float64)


def _champion(table: pa.Table) -> np.ndarray:
    return np.asarray(table["role"].to_numpy() == CHAMPION)


def _first_days(times: np.ndarray, window: str) -> np.ndarray:
    """The first day of each time's window, weeks beginning on Monday."""
    if window == "month":
        return times.astype("datetime64[M]").astype("datetime64[us]")
    days = times.astype("datetime64[D]")
    if window == "week":
        days = days - (days.astype(np.int64) + MONDAY) % 7
    return days.astype("datetime64[us]")


def _next(start: datetime, window: str) -> datetime:
    if window == "month":
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if window == "week" else 1)
