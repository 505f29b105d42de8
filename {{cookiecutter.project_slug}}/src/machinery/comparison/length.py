"""length: the parts of a report in, one text that is never too long out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

LEFT_OUT = "_{lines} more lines are left out, since the report would be too long._"
DROPPED = "_Left out, since the report would be too long._"


@dataclass(frozen=True)
class Part:
    """A section of the report; of those that are too long together, the lightest is cut first."""

    title: str
    body: str
    weight: int
    folded: bool = False

    def __str__(self) -> str:
        """As Markdown; a blank line on both sides of it lets code hosts read it within HTML."""
        if not self.folded:
            return f"### {self.title}\n\n{self.body}"
        return f"<details>\n<summary><b>{self.title}</b></summary>\n\n{self.body}\n\n</details>"


def fit(head: Sequence[str], parts: Sequence[Part], limit: int) -> str:
    """Head and parts as one text of at most so many characters (and bytes); the head stays."""
    kept = list(parts)
    while _size(found := _joined(head, kept)) > limit:
        able = [part for part in kept if part.body != DROPPED]
        if not able:
            return found.encode()[:limit].decode(errors="ignore")
        part = min(able, key=lambda each: (each.weight, -_size(each.body)))
        kept[kept.index(part)] = _shorter(part, _size(found) - limit)
    return found


def _joined(head: Sequence[str], parts: Sequence[Part]) -> str:
    return "\n\n".join([*head, *map(str, parts)]) + "\n"


def _shorter(part: Part, excess: int) -> Part:
    """The part without its last lines, or without all where nothing can be cut in half."""
    lines = part.body.splitlines()
    if "```" in part.body or "<details" in part.body:
        return replace(part, body=DROPPED)
    kept, size = list(lines), 0
    while kept and size < excess + _size(LEFT_OUT) + 20:
        size += _size(kept.pop()) + 1
    if len(kept) < 4:
        return replace(part, body=DROPPED)
    note = LEFT_OUT.format(lines=len(lines) - len(kept))
    return replace(part, body="\n".join([*kept, "", note]))


def _size(text: str) -> int:
    return len(text.encode())
