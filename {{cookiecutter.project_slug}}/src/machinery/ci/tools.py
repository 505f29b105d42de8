"""tools: words for cml or gh in, what it printed out; it sees one token and a throwaway home."""

import json
import os
import re
import subprocess
from pathlib import Path

from .host import FailedError
from .job import Job

PATIENCE = 180  # seconds
# All that a tool learns of the job. No other secret, and no setting that would change what it does.
KEPT = {
    *("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SYSTEMROOT", "PATHEXT", "TEMP", "TMP", "TMPDIR"),
}
PASSING = re.compile(
    r"(status|status code:|HTTP) (429|5\d\d)\b|rate limit|too many requests|server error"
    r"|bad gateway|service unavailable|gateway time-?out",
    re.IGNORECASE,
)
LONGEST = 300  # characters of what a tool said


class PassingError(FailedError):
    """It may work a little later: too many requests, or a server's own mistake."""


def run(job: Job, home: Path, tool: str, *words: str, **secrets: str) -> str:
    """What the tool prints. Raises FailedError, or PassingError where a later try may do."""
    done = _run(home, tool, *words, **secrets)
    if done.returncode:
        said = _told(job.hidden(f"{done.stdout}\n{done.stderr}"))
        error = PassingError if PASSING.search(said) else FailedError
        raise error(f"exit code {done.returncode}: {said}")
    return done.stdout


def require_cml(home: Path) -> None:
    """Refuse another program of that name: there is an unrelated one in Python's index."""
    if "--watermark-title" not in _run(home, "cml", "comment", "update", "--help").stdout:
        raise FailedError("the program of that name is not https://cml.dev")


def _run(home: Path, tool: str, *words: str, **secrets: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
    kept |= {"HOME": str(home), "USERPROFILE": str(home), "ITERATIVE_DO_NOT_TRACK": "1"}
    try:
        return subprocess.run(
            [tool, *words],
            env=kept | {"NO_COLOR": "1"} | secrets,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"no answer within {PATIENCE} seconds") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise FailedError("it is not installed" if missing else str(error)) from error


def _told(said: str) -> str:
    """Its own words on one line: no trace of calls, and nothing of the text that it was to post."""
    lines = [_message(line.strip()) for line in said.splitlines()]
    kept = [line for line in lines if line and not line.startswith("at ")]
    return " ".join(kept)[:LONGEST] or "it said nothing"


def _message(line: str) -> str:
    """What a line says; CML logs an error as JSON, with all that it sent."""
    try:
        document = json.loads(line)
    except ValueError:
        return line
    if not isinstance(document, dict):
        return line
    status = f" (status {document['status']})" if "status" in document else ""
    return f"{document.get('message', '')}{status}"
