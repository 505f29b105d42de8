"""post_gen_project: starts the git repository of the new project, and prints the next commands."""

import shutil
import subprocess
import sys
from pathlib import Path

# cruft bakes again, out of sight, to compare versions of the template: a repository in there would
# break its update. It leaves no _output_dir, and writes its own record only after this hook.
OUTPUT_DIR_IS_KNOWN: str = "{{ '_output_dir' in cookiecutter }}"
BY_HAND = '    git init -b main && git add . && git commit -m "First commit"'


def git(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run git in the project; its words are kept for the caller to judge."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False)


def start_repository(project: Path) -> str:
    """Create the repository and its first commit; return what is left to the user, if anything.

    The project gets a repository of its own inside another one, too: DVC looks for .git beside
    .dvc, and releases, rollback and hooks belong to one project.
    """
    if OUTPUT_DIR_IS_KNOWN == "False":
        return f"The first commit, with cruft's record, is yours: in the project, type\n{BY_HAND}"
    if shutil.which("git") is None:
        return (
            "git is not installed, and DVC needs it. The project is whole: install git; in the\n"
            f"project, before the commands below, type\n{BY_HAND}"
        )
    if (project / ".git").exists():
        return "The folder is a git repository already: look at `git diff` and commit yourself."
    inside_another = git("-C", str(project.parent), "check-ignore", "-q", project.name)
    git("init", "--quiet", "-b", "main")
    git("-c", "core.excludesFile=", "add", ".")  # all that was baked, whatever is ignored elsewhere
    commit = git("commit", "--quiet", "--message", "First commit")
    if commit.returncode:
        return (
            "The project is whole, but git refused its first commit: most often it does not know\n"
            "who you are. All files are staged; in the project, type\n"
            '    git config user.name "Your Name"\n'
            "    git config user.email you@example.com\n"
            '    git commit -m "First commit"'
        )
    # check-ignore answers 1 inside a repository that does not ignore the project, 128 outside any.
    if inside_another.returncode == 1:
        return f"{project.parent} lies in a git repository: ignore {project.name}/ there."
    return ""


def record_machinery(project: Path) -> None:
    """Write down what the machinery's files are, so that an edit of them can be told later."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(project / "src"))
    from machinery.versions import manifest

    manifest.write(project / manifest.MACHINERY)


def next_commands(project: Path) -> str:
    """Say what to type from here to the first figures."""
    command = project.name.replace("_", "-")
    return (
        f"{project.name} is ready. Next:\n"
        f"    cd {project.name}\n"
        "    make setup                  installs everything into .venv, once\n"
        "    source .venv/bin/activate\n"
        "    dvc repro                   runs the whole pipeline\n"
        f"    {command + ' show':<26}  shows the metrics and the gate\n"
        "Your own table, in the sample's place:\n"
        f"    {command} adopt TABLE --target COLUMN"
    )


def main() -> None:
    """Seal the machinery, and start the repository of the folder that was just written."""
    project = Path.cwd()
    record_machinery(project)
    todo = start_repository(project)
    print(f"\n{todo}\n" if todo else "")
    print(next_commands(project))


if __name__ == "__main__":
    main()
