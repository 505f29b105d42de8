"""Create the git repository of the new project and print the next commands."""

import shutil
import subprocess
import sys
from pathlib import Path

# For an update, cruft bakes into temporary folders, where a repository would break the update. It
# sets no _output_dir, and writes its own record only after this hook.
OUTPUT_DIR_IS_KNOWN: str = "{{ '_output_dir' in cookiecutter }}"
BY_HAND = '    git init -b main && git add . && git commit -m "First commit"'


def git(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run git in the project, capture its output and do not check its status."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False)


def start_repository(project: Path) -> str:
    """Create the repository and its first commit; return what the user must do, if anything.

    A project inside another repository also gets its own: DVC expects .git next to .dvc, and
    releases, rollback and hooks apply to one project.
    """
    if OUTPUT_DIR_IS_KNOWN == "False":
        return f"Commit the project, with cruft's record, yourself: in the project, type\n{BY_HAND}"
    if shutil.which("git") is None:
        return (
            "git is not installed, and DVC needs it. The project is complete. Install git;\n"
            f"in the project, before the commands below, type\n{BY_HAND}"
        )
    if (project / ".git").exists():
        return "The folder is a git repository already: review `git diff` and commit yourself."
    inside_another = git("-C", str(project.parent), "check-ignore", "-q", project.name)
    git("init", "--quiet", "-b", "main")
    git("-c", "core.excludesFile=", "add", ".")  # in spite of any global ignore file
    commit = git("commit", "--quiet", "--message", "First commit")
    if commit.returncode:
        return (
            "The project is complete, but git refused the first commit, most likely since it does\n"
            "not know your name. All files are staged; in the project, type\n"
            '    git config user.name "Your Name"\n'
            "    git config user.email you@example.com\n"
            '    git commit -m "First commit"'
        )
    # check-ignore exits with 1 if a repository does not ignore the project, 128 outside of one.
    if inside_another.returncode == 1:
        return f"{project.parent} is in a git repository: ignore {project.name}/ there."
    return ""


def record_machinery(project: Path) -> None:
    """Record the hashes of the machinery's files, so that edits can be detected later."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(project / "src"))
    from machinery.versions import manifest

    manifest.write(project / manifest.MACHINERY)


def next_commands(project: Path) -> str:
    """The commands from here to the first metrics."""
    command = project.name.replace("_", "-")
    return (
        f"{project.name} is ready. Next:\n"
        f"    cd {project.name}\n"
        "    make setup                  installs everything into .venv, once\n"
        "    source .venv/bin/activate\n"
        "    dvc repro                   runs the whole pipeline\n"
        f"    {command + ' show':<26}  shows the metrics and the gate\n"
        "To use your own table instead of the sample:\n"
        f"    {command} adopt TABLE --target COLUMN"
    )


def main() -> None:
    """Record the machinery, and create the repository of the folder that was just written."""
    project = Path.cwd()
    record_machinery(project)
    todo = start_repository(project)
    print(f"\n{todo}\n" if todo else "")
    print(next_commands(project))


if __name__ == "__main__":
    main()
