"""git: the git command line; what it refuses is a UserError."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from machinery.pipeline.files import UserError

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")  # post-checkout would move the data a second time


def run(*words: str, cwd: Path | None = None, index: Path | None = None) -> str:
    """What git prints, without the last line end. Raises UserError with git's own sentence."""
    return read(*words, cwd=cwd, index=index).decode("utf-8", "replace").rstrip("\n")


def changes(of: str = ".", *, untracked: bool = True) -> list[str]:
    """The files of this folder that are changed, staged, deleted or new since the last commit.

    Those of the whole repository, should it be of more than this folder, are `changes(":/")`.
    """
    new = f"--untracked-files={'all' if untracked else 'no'}"
    lines = run("status", "--porcelain=v1", "-z", "--no-renames", new, "--", of)
    here = prefix()
    return [entry[3:].removeprefix(here) for entry in lines.split("\0") if entry]


def prefix() -> str:
    """The current folder, as a path in its repository that ends in /; empty for the root."""
    return run("rev-parse", "--show-prefix")


def tags() -> list[str]:
    """The names of all tags, the newest first."""
    return run("tag", "--list", "--sort=-creatordate").splitlines()


def branch() -> str | None:
    """The branch that is checked out; None for a commit without one."""
    return run("branch", "--show-current") or None


def remote() -> str:
    """The remote that versions are published to: origin, or the only other one."""
    remotes = run("remote").splitlines()
    return remotes[0] if remotes and "origin" not in remotes else "origin"


def with_folder_of(commit: str, message: str) -> str:
    """A commit upon HEAD whose files in this folder are those of `commit`, and no other changes.

    It is `commit` itself where the folder is the whole repository.
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
    """The commit that a revision (a tag, branch, short or long hash) stands for."""
    try:
        return run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UserError:
        raise UserError(f"git knows no revision '{revision}'; 'git tag' lists the tags") from None


def files(revision: str | None) -> list[str]:
    """The paths of a revision's files; of the checkout where it is None, without ignored ones."""
    here = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = run(*(("ls-tree", "-r", "-z", "--name-only", revision) if revision else here))
    return listed.rstrip("\0").split("\0")


def file(revision: str | None, path: str) -> bytes | None:
    """A file of a revision, or of the checkout where it is None; None when it is not there."""
    if revision is None:
        return Path(path).read_bytes() if Path(path).is_file() else None
    try:
        return read("cat-file", "blob", f"{revision}:./{path}")
    except UserError:
        return None


def read(*words: str, cwd: Path | None = None, index: Path | None = None) -> bytes:
    """The bytes that git prints. Raises UserError with git's own sentence."""
    env = {**os.environ, "GIT_INDEX_FILE": str(index)} if index else None
    try:
        done = subprocess.run(
            ["git", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True
        )
    except FileNotFoundError:
        raise UserError("git is not installed, and versions need it") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise UserError(said.removeprefix("fatal: ").removeprefix("error: ") or f"git {words[0]}")
    return done.stdout
