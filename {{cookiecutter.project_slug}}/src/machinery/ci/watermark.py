"""watermark: what CML ends its comments with in; which comment is ours, and which CML would take.

CML's form (its src/watermark.js), so that a comment is found again whichever tool wrote it last.
Anybody can write a watermark: only what the job's own token has written is ours.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from .conversation import Comment
from .job import Job

_IMAGE = r'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {}"\)'
# Comments that CML looks at: one page, of GitHub's oldest, of GitLab's newest.
SEEN_BY_CML = {"github": 30, "gitlab": 20}


def title() -> str:
    """What our watermark says, by the name of the project: nothing need be installed for it."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} report"


def signed(text: str, commit: str) -> str:
    """The text as CML would post it for this commit."""
    return f'{text}\n\n![](https://cml.dev/watermark.png#{commit} "CML watermark {title()}")'


def ours(comments: Sequence[Comment]) -> Comment | None:
    """Our first comment that ends with the watermark.

    A reply that quotes it does not end with it, and what somebody else has signed is not ours.
    """
    return next((each for each in comments if each.mine and _is_signed(each.body)), None)


def _is_signed(body: str) -> bool:
    """Whether the last line of the text is the watermark, and nothing else."""
    return bool(re.fullmatch(_IMAGE.format(title()), body.rstrip().rpartition("\n")[2]))


def in_reach_of_cml(job: Job, comments: Sequence[Comment]) -> bool:
    """Whether `cml comment update` would edit ours, or add one where there is none.

    It takes a comment with the watermark anywhere in it: the last of GitHub's first page, the
    oldest of GitLab's newest. That may be a reviewer's reply, and a later page is never read.
    """
    seen = SEEN_BY_CML[job.host]
    page = comments[:seen][::-1] if job.host == "github" else comments[-seen:]
    taken = next((each for each in page if re.search(_IMAGE.format(title()), each.body)), None)
    return taken == ours(comments)
