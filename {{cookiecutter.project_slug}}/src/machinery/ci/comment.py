"""Post a Markdown file in the job's summary and as the one comment on the pull request.

CML posts the comment. Where CML is missing, fails, or would edit a comment that is not ours, the
code host's API does. If neither can, the job goes on: the summary already has the text. Comments
are identified by CML's watermark, which anyone can write, so only a comment that the job's own
token has written is ours.
"""

import os
import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from machinery.pipeline.files import first_line, write_text
from machinery.versions import git

from .job import CodeHostError, Job, Post

MAX_LENGTH = 65_000  # characters of a comment; GitHub takes 65,536, GitLab more
CUT = "\n\n… the report is too long for a comment; the job's summary or artifact has all of it.\n"
TIMEOUT = 180  # seconds for CML
CML_PAGE = 20  # comments that CML reads: one page of GitLab's; GitHub's has 30
# All that CML learns of the job, beside the token.
CML_ENVIRONMENT = {
    *("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SYSTEMROOT", "PATHEXT", "TEMP", "TMP", "TMPDIR"),
}


def comment(file: Path, job: Job) -> None:
    """Post the file, or that the run failed if there is none; print where it went."""
    if job.cancelled:
        print("Nothing is posted: the job was cancelled.")
        return
    if not file.exists():
        commit = job.commit or git.resolve("HEAD")
        write_text(f"**No report** for {commit}: the run failed, see [its log]({job.log}).\n", file)
    text = file.read_text(encoding="utf-8")
    job.summarize(text)
    place = f"the job's {'summary' if job.summary else 'artifact'} has the text ({file})"
    if job.number is None:
        job.notify("notice", f"this job belongs to no pull request; {place}")
    elif not job.token:
        job.notify("warning", f"no comment: the job has no token to write with; {place}")
    else:
        try:
            tool = _post(job, _shorten(text))
        except CodeHostError as error:
            job.notify("warning", f"no comment ({error}); {place}")
        else:
            print(f"Posted by {tool} on pull request {job.number} of {job.repository}.")


def _post(job: Job, text: str) -> str:
    """Post the text and return the name of the tool that did. Raises CodeHostError."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    comments, title = job.comments(), f"{project['name']} report"
    try:
        if not safe_for_cml(comments, title):
            raise CodeHostError("it would edit another comment than ours, or not find ours")
        _post_by_cml(job, text, title)
        return "cml"
    except CodeHostError as error:
        commit = job.commit or git.resolve("HEAD")
        job.save_comment(signed(text, commit, title), own_comment(comments, title))
        job.notify("notice", f"the API posted the comment, since cml: {error}")
        return "the API"


def _post_by_cml(job: Job, text: str, title: str) -> None:
    """Let CML edit or add the comment. It gets its own home, as it makes git trust any folder."""
    with TemporaryDirectory() as home:
        body = Path(home) / "comment.md"
        body.write_text(text, encoding="utf-8", newline="\n")
        # PyPI has an unrelated program of that name.
        if "--watermark-title" not in _cml(job, home, "--help"):
            raise CodeHostError("the program of that name is not https://cml.dev")
        options = ["--publish=false", "--watermark-title", title, "--target", f"pr/{job.number}"]
        options += ["--driver", job.host, "--repo", job.page]
        _cml(job, home, *options, str(body))


def _cml(job: Job, home: str, *arguments: str) -> str:
    """Run `cml comment update` and return its output. Raises CodeHostError."""
    environment = {n: value for n, value in os.environ.items() if n.upper() in CML_ENVIRONMENT}
    environment |= {"HOME": home, "USERPROFILE": home, "ITERATIVE_DO_NOT_TRACK": "1"}
    environment |= {"NO_COLOR": "1", "REPO_TOKEN": job.token}
    try:
        done = subprocess.run(
            ["cml", "comment", "update", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise CodeHostError("it is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CodeHostError(first_line(error)) from error
    if done.returncode:
        raise CodeHostError(f"exit code {done.returncode}")
    return done.stdout


def signed(text: str, commit: str, title: str) -> str:
    """The text with the watermark that CML would add for this commit (its src/watermark.js)."""
    return f'{text}\n\n![](https://cml.dev/watermark.png#{commit} "CML watermark {title}")'


def own_comment(comments: Sequence[Post], title: str) -> Post | None:
    """Our first comment that ends with the watermark, so that a reply quoting it is not meant."""
    ending = re.compile(rf"(?:.*\n)?{_watermark(title)}\s*", re.DOTALL)
    return next((post for post in comments if post.own and ending.fullmatch(post.body)), None)


def safe_for_cml(comments: Sequence[Post], title: str) -> bool:
    """Whether `cml comment update` would edit our comment, or add one where there is none.

    It reads one page, and edits a comment with the watermark anywhere in it, whoever wrote it.
    """
    marked = [post for post in comments if re.search(_watermark(title), post.body)]
    own = own_comment(comments, title)
    return len(comments) <= CML_PAGE and all(post == own for post in marked)


def _watermark(title: str) -> str:
    address = r"https://cml\.dev/watermark\.png#[0-9a-fA-F]+"
    return rf'!\[\]\({address} "CML watermark {re.escape(title)}"\)'


def _shorten(text: str) -> str:
    """The text, cut at the end of a line if it is too long."""
    if len(text) <= MAX_LENGTH:
        return text
    return text[: MAX_LENGTH - len(CUT)].rpartition("\n")[0] + CUT
