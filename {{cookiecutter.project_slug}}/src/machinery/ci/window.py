"""The data window: its end (`ingest.until`) in params.yaml, and how to move it."""

from datetime import datetime

import pandas as pd
import yaml

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS


def later(end: datetime, months: int) -> datetime:
    """The end, so many calendar months later; the last day of a month stays the last day."""
    moment = pd.Timestamp(end)
    step = pd.offsets.MonthEnd(months) if moment.is_month_end else pd.DateOffset(months=months)
    return (moment + step).to_pydatetime()


def moved(text: str, end: datetime) -> str:
    """The text of params.yaml with another `ingest.until`; everything else stays, comments too."""
    value = _value(text)
    quote = value.style or ("" if value.tag.endswith(":timestamp") else "'")
    start, stop = value.start_mark.index, value.end_mark.index
    return f"{text[:start]}{quote}{name(end)}{quote}{text[stop:]}"


def name(end: datetime) -> str:
    """The end in ISO format: only the date if it is midnight."""
    midnight = end == end.replace(hour=0, minute=0, second=0, microsecond=0)
    return end.date().isoformat() if midnight and end.tzinfo is None else end.isoformat()


def _value(text: str) -> yaml.ScalarNode:
    """The YAML node of `ingest.until`."""
    node: yaml.Node | None = yaml.compose(text)
    for key in ("ingest", "until"):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    if not isinstance(node, yaml.ScalarNode):
        raise UserError(f"{PARAMS} has no ingest.until; restore it with git checkout {PARAMS}")
    return node
