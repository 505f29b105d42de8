"""Call the git command line. Where git fails, raise UserError with git's own message."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from machinery.pipeline.files import UserError

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")  # post-checkout would move the data a second time


def run(*words: str, cwd: Path | None = None, index: Path | None = None) -> str:
    """What git prints, as text without the last newline."""
    return read(*words, cwd=cwd, index=index).decode("utf-8", "replace").rstrip("\n")


def changes(folder: str = ".", *, untracked: bool = True) -> list[str]:
    """The files that are changed, staged, deleted or new since the last commit.

    Those of this folder, which may be one of a bigger repository; `":/"` is the whole repository.
    """
    new = f"--untracked-files={'all' if untracked else 'no'}"
    lines = run("status", "--porcelain=v1", "-z", "--no-renames", new, "--", folder)
    here = prefix()
    return [entry[3:].removeprefix(here) for entry in lines.split("\0") if entry]


def prefix() -> str:
    """The current folder as a path in its repository, ending in /; empty for the root."""
    return run("rev-parse", "--show-prefix")


def tags() -> list[str]:
    """The names of all tags, newest first."""
    return run("tag", "--list", "--sort=-creatordate").splitlines()


def branch() -> str | None:
    """The current branch; None for a detached HEAD."""
    return run("branch", "--show-current") or None


def remote() -> str:
    """The remote that versions are published to: origin, or the first if there is no origin."""
    remotes = run("remote").splitlines()
    return remotes[0] if remotes and "origin" not in remotes else "origin"


def with_folder_of(commit: str, message: str) -> str:
    """Make a commit on HEAD in which this folder alone is replaced by that of `commit`.

    Returns `commit` itself if the folder is the whole repository.
    """
    if not (here := prefix()):
        return commit
    with TemporaryDirectory() as folder:
        index = Path(folder, "index")
        run("read-tree", "HEAD", index=index)
        run("rm", "-r", "--quiet", "--cached", "--", ".", index=index)
        run("read-tree", f"--prefix={here}", f"{commit}:{here}", index=index)
        tree = run("write-tree", index=index)
    return run("commit-tree", "-p", "HEAD", "-m", message, tree)


def resolve(revision: str) -> str:
    """The commit of a revision: a tag, branch, short or long hash."""
    try:
        return run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UserError:
        raise UserError(f"git knows no revision '{revision}'; 'git tag' lists the tags") from None


def files(revision: str | None, cwd: Path | None = None) -> list[str]:
    """The paths of a revision's files, or of the checkout's that are not ignored if it is None."""
    if revision is None:
        listed = run("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=cwd)
    else:
        listed = run("ls-tree", "-r", "-z", "--name-only", revision, cwd=cwd)
    return listed.rstrip("\0").split("\0")


def file(revision: str | None, path: str) -> bytes | None:
    """A file of a revision, or of the checkout if that is None; None if there is no such file."""
    if revision is None:
        return Path(path).read_bytes() if Path(path).is_file() else None
    try:
        return read("cat-file", "blob", f"{revision}:./{path}")
    except UserError:
        return None


def read(*words: str, cwd: Path | None = None, index: Path | None = None) -> bytes:
    """The bytes that git prints."""
    env = {**os.environ, "GIT_INDEX_FILE": str(index)} if index else None
    try:
        done = subprocess.run(
            ["git", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True
        )
    except FileNotFoundError:
        raise UserError("git is not installed; install it") from None
    if done.returncode:
        message = " ".join(done.stderr.decode("utf-8", "replace").split())
        message = message.removeprefix("fatal: ").removeprefix("error: ")
        raise UserError(message or f"git {words[0]} failed")
    return done.stdout
