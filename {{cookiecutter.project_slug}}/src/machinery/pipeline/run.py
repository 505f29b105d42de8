"""run: a project and the name of a stage in; the stage run, always in the same environment.

A stage is a module with `main(project)`, of the machinery or of the user's package.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from .project import Project

# The hash seed orders sets (and with them the nodes of a model file); the number of threads
# changes the last bits of sums. Both must be set before Python and NumPy start. An experiment runs
# in a copy of the project: the code to run is the one that lies there, not the installed one.
ENVIRONMENT = {
    "PYTHONPATH": "src",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime reports home otherwise
}


def run(project: Project, words: list[str]) -> int:
    """Run the stage; a user's mistake is one sentence and an exit code, never a traceback."""
    from .data import agreement, contract
    from .files import UserError, read_yaml
    from .paths import PARAMS
    from .progress import spinner

    name, *arguments = words or [""]
    try:
        with spinner(" ".join(words)):
            agreement.require(read_yaml(PARAMS), contract.load())
            _find(project, name)(project, *arguments)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _find(project: Project, name: str) -> Callable[..., None]:
    """The `main` of the machinery's stage of this name, or of the project's module."""
    from .files import UserError

    for module in (f"{__package__}.stages.{name}", f"{project.package}.{name}"):
        if name.isidentifier() and find_spec(module):
            stage: Callable[..., None] | None = getattr(import_module(module), "main", None)
            if stage is not None:
                return stage
    own = f"a stage of your own is a function main(project) in src/{project.package}/{name}.py"
    raise UserError(f"no stage has this name; {own}")


def main(project: Project) -> None:
    """Run the stage in this process, or in a fork of one that has the libraries imported."""
    words = sys.argv[1:]
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        command = [sys.executable, "-m", project.package, *words]
        os.execve(sys.executable, command, os.environ | ENVIRONMENT)
    # A stage of `dvc repro`, and not a fork itself; elsewhere than on Linux forks are not safe.
    if os.environ.pop("DVC_STAGE", None) and sys.platform == "linux":
        from . import forkserver

        code = forkserver.ask(project.package, words)
        if code is not None:
            sys.exit(code)
        forkserver.start()
    sys.exit(run(project, words))
