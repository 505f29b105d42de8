"""comment: a Markdown file in; the job's summary and one comment of the pull request out.

CML posts it. What CML cannot do (it is missing, or refused, or would take another comment for
ours) GitHub's own `gh` does, and else the API itself. Each is asked only where it edits our comment
and no other. When none can, the job goes on: the summary has the text already.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from machinery.pipeline.files import UserError, write_text
from machinery.versions import git
from . import tools, watermark
from .conversation import Conversation
from .host import FailedError
from .job import Job

# Characters of a comment. GitHub takes 65,536, the watermark included.
LONGEST = {"github": 65_000, "gitlab": 900_000}
PAUSES = (2.0, 8.0)  # seconds before a tool that met a passing refusal is tried again
CUT = "\n\n… the rest is too long for a comment; the job's summary or artifact has it all.\n"

Way = Callable[[Job, str], None]


def comment(file: Path, job: Job) -> None:
    """Publish the file, or that there is none; print where it went.

    Raises UserError only for a file that is not readable.
    """
    if job.cancelled:
        print("Nothing is posted: the job was cancelled.")
        return
    if not file.exists():
        write_text(_no_report(job), file)
    text = _read(file)
    job.summarize(text)
    if job.number is None:
        job.tell("notice", f"this job belongs to no pull request; {_kept(job, file)}")
    elif not job.token:
        job.tell("warning", f"no comment: the job has no token to write with; {_kept(job, file)}")
    else:
        _post(job, text, file)


def _post(job: Job, text: str, file: Path) -> None:
    ways: dict[str, Way] = {"cml": _by_cml, "gh": _by_gh, "the API": _by_api}
    if job.host == "gitlab":
        del ways["gh"]
    failures = []
    for name, way in ways.items():
        try:
            _patiently(way, job, _short(text, LONGEST[job.host]))
        except FailedError as error:
            failures.append(f"{name}: {error}")
            continue
        print(f"Posted by {name} on pull request {job.number} of {job.repository}.")
        if failures:
            job.tell("notice", f"{name} posted the comment, since {'; '.join(failures)}")
        return
    job.tell("warning", f"no comment ({'; '.join(failures)}); {_kept(job, file)}")


def _patiently(way: Way, job: Job, text: str) -> None:
    """Post, and again a little later where the refusal may pass: CML and gh never retry."""
    for pause in PAUSES:
        try:
            return way(job, text)
        except tools.PassingError:
            time.sleep(pause)
    return way(job, text)


def _by_cml(job: Job, text: str) -> None:
    """Let CML edit or add the comment, in a home of its own: it makes git trust every folder."""
    if not watermark.in_reach_of_cml(job, Conversation(job).comments()):
        raise FailedError("it would not find our comment among so many, or edit a reply to it")
    with TemporaryDirectory() as home:
        tools.require_cml(Path(home))
        body = Path(home) / "comment.md"
        body.write_text(text, encoding="utf-8", newline="\n")
        words = ["comment", "update", "--publish=false", "--watermark-title", watermark.title()]
        words += ["--target", f"pr/{job.number}", "--driver", job.host]
        words += ["--repo", f"{job.server}/{job.repository}", str(body)]
        tools.run(job, Path(home), "cml", *words, REPO_TOKEN=job.token)


def _by_gh(job: Job, text: str) -> None:
    """Let gh edit this token's last comment, where that is ours or there is none; else add one."""
    place = [str(job.number), "--repo", f"{job.server.partition('://')[2]}/{job.repository}"]
    comments = Conversation(job).comments()
    ours = watermark.ours(comments)
    last = next((each for each in reversed(comments) if each.mine), None)
    if ours and ours != last:
        raise FailedError("it would edit another comment, the last one of this token")
    with TemporaryDirectory() as home:
        body = Path(home) / "comment.md"
        body.write_text(_signed(text), encoding="utf-8", newline="\n")
        words = ["pr", "comment", *place, "--body-file", str(body)]
        if ours == last:
            words += ["--edit-last", "--create-if-none"]
        tokens = {"GH_TOKEN": job.token, "GH_ENTERPRISE_TOKEN": job.token}
        settings = {"GH_CONFIG_DIR": home, "GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1"}
        tools.run(job, Path(home), "gh", *words, **tokens, **settings)


def _by_api(job: Job, text: str) -> None:
    conversation = Conversation(job)
    conversation.write(_signed(text), watermark.ours(conversation.comments()))


def _signed(text: str) -> str:
    return watermark.signed(text, git.resolve("HEAD"))


def _no_report(job: Job) -> str:
    """What takes the place of the report of an earlier commit, which says nothing of this one."""
    return f"**No report** for {git.resolve('HEAD')}: the run failed, see [its log]({job.page}).\n"


def _short(text: str, longest: int) -> str:
    """The text, or its beginning up to the end of a line."""
    if len(text) <= longest:
        return text
    return text[: longest - len(CUT)].rpartition("\n")[0] + CUT


def _kept(job: Job, file: Path) -> str:
    where = "the job's summary has the text" if job.summary else "the job's artifact has the text"
    return f"{where} ({file})"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a readable text file: {error}") from error
