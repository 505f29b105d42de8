"""comment: a Markdown file in; the job's summary, and one comment on the pull request, out.

CML posts it. Where CML is missing, fails, or would edit a comment that is not ours, the API of the
code host does. When neither can, the job goes on: the summary has the text already. Comments are
identified by CML's watermark, which anyone can write: only what the job's own token has written is
ours.
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

from .host import Comment, FailedError, Host
from .job import Job

MAX_LENGTH = 65_000  # characters of a comment; GitHub takes 65,536, GitLab more
CUT = "\n\n… the rest is too long for a comment; the job's summary or artifact has it all.\n"
TIMEOUT = 180  # seconds for CML
SEEN_BY_CML = 20  # comments: one page of GitLab's; GitHub's has 30
# All that CML learns of the job, beside the token.
PASSED_ON = {
    *("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SYSTEMROOT", "PATHEXT", "TEMP", "TMP", "TMPDIR"),
}


def comment(file: Path, job: Job) -> None:
    """Publish the file, or that there is none; print where it went."""
    if job.cancelled:
        print("Nothing is posted: the job was cancelled.")
        return
    if not file.exists():
        commit = job.commit or git.resolve("HEAD")
        write_text(
            f"**No report** for {commit}: the run failed, see [its log]({job.page}).\n", file
        )
    text = file.read_text(encoding="utf-8")
    job.summarize(text)
    kept = f"the job's {'summary' if job.summary else 'artifact'} has the text ({file})"
    if job.number is None:
        job.tell("notice", f"this job belongs to no pull request; {kept}")
    elif not job.token:
        job.tell("warning", f"no comment: the job has no token to write with; {kept}")
    else:
        try:
            tool = _post(job, _short(text))
        except FailedError as error:
            job.tell("warning", f"no comment ({error}); {kept}")
        else:
            print(f"Posted by {tool} on pull request {job.number} of {job.repository}.")


def _post(job: Job, text: str) -> str:
    """Post the text and say by what. Raises FailedError."""
    host = Host(job)
    comments, title = host.comments(), _title()
    try:
        if not seen_alone_by_cml(comments, title):
            raise FailedError("it might edit another comment than ours, or not find ours")
        _by_cml(job, text, title)
        return "cml"
    except FailedError as why:
        host.write(signed(text, job.commit or git.resolve("HEAD"), title), ours(comments, title))
        job.tell("notice", f"the API posted the comment, since cml: {why}")
        return "the API"


def _by_cml(job: Job, text: str, title: str) -> None:
    """Let CML edit or add the comment, in a home of its own: it makes git trust every folder."""
    with TemporaryDirectory() as home:
        body = Path(home) / "comment.md"
        body.write_text(text, encoding="utf-8", newline="\n")
        # Python's index has an unrelated program of that name.
        if "--watermark-title" not in _cml(job, home, "comment", "update", "--help"):
            raise FailedError("the program of that name is not https://cml.dev")
        words = ["comment", "update", "--publish=false", "--watermark-title", title]
        words += ["--target", f"pr/{job.number}", "--driver", job.host]
        _cml(job, home, *words, "--repo", f"{job.server}/{job.repository}", str(body))


def _cml(job: Job, home: str, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name.upper() in PASSED_ON}
    environment |= {"HOME": home, "USERPROFILE": home, "ITERATIVE_DO_NOT_TRACK": "1"}
    environment |= {"NO_COLOR": "1", "REPO_TOKEN": job.token}
    try:
        done = subprocess.run(
            ["cml", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        raise FailedError("it is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(first_line(error)) from error
    if done.returncode:
        raise FailedError(f"exit code {done.returncode}")
    return done.stdout


def _title() -> str:
    """What our watermark says, by the name of the project; nothing need be installed for it."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} report"


def signed(text: str, commit: str, title: str) -> str:
    """The text as CML would post it for this commit (its src/watermark.js)."""
    return f'{text}\n\n![](https://cml.dev/watermark.png#{commit} "CML watermark {title}")'


def ours(comments: Sequence[Comment], title: str) -> Comment | None:
    """Our first comment that ends with the watermark; a reply that quotes it does not."""
    last = re.compile(rf"(?:.*\n)?{_watermark(title)}\s*", re.DOTALL)
    return next((each for each in comments if each.mine and last.fullmatch(each.body)), None)


def seen_alone_by_cml(comments: Sequence[Comment], title: str) -> bool:
    """Whether `cml comment update` would edit ours, or add one where there is none.

    It reads one page, and takes a comment with the watermark anywhere in it, whoever wrote it.
    """
    marked = [each for each in comments if re.search(_watermark(title), each.body)]
    return len(comments) <= SEEN_BY_CML and all(each == ours(comments, title) for each in marked)


def _watermark(title: str) -> str:
    address = r"https://cml\.dev/watermark\.png#[0-9a-fA-F]+"
    return rf'!\[\]\({address} "CML watermark {re.escape(title)}"\)'


def _short(text: str) -> str:
    """The text, or its beginning up to the end of a line."""
    if len(text) <= MAX_LENGTH:
        return text
    return text[: MAX_LENGTH - len(CUT)].rpartition("\n")[0] + CUT
