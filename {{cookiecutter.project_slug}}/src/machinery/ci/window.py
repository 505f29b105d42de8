"""window: params.yaml in, the same text with another end of the data window out."""

from calendar import monthrange
from datetime import datetime

import yaml

from machinery.pipeline.files import UserError
from machinery.pipeline.paths import PARAMS


def later(end: datetime, months: int) -> datetime:
    """The end, so many calendar months later.

    The last day of a month becomes the last day of the later one, so that an end of 31 January is
    31 March two months later, by way of 28 February or not. Any other day is cut to it.
    """
    year, month = divmod(end.year * 12 + end.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    day = last if end.day == monthrange(end.year, end.month)[1] else min(end.day, last)
    return end.replace(year=year, month=month + 1, day=day)


def moved(text: str, end: datetime) -> str:
    """The text with another `ingest.until`: no other character changes, so comments are kept."""
    value = _value(text)
    quote = value.style or ("" if value.tag.endswith(":timestamp") else "'")
    start, stop = value.start_mark.index, value.end_mark.index
    return f"{text[:start]}{quote}{name(end)}{quote}{text[stop:]}"


def name(end: datetime) -> str:
    """The moment as it is written: a date alone where it is midnight."""
    midnight = end == end.replace(hour=0, minute=0, second=0, microsecond=0)
    return end.date().isoformat() if midnight and end.tzinfo is None else end.isoformat()


def _value(text: str) -> yaml.ScalarNode:
    """Where `ingest.until` stands."""
    node: yaml.Node | None = yaml.compose(text)
    for key in ("ingest", "until"):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for word, value in pairs if word.value == key), None)
    if not isinstance(node, yaml.ScalarNode):
        raise UserError(f"{PARAMS} has no ingest.until; restore it with git checkout {PARAMS}")
    return node
