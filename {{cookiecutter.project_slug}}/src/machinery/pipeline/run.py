"""Run one stage of a project, always in the same environment.

A stage is a module with `main(project)`, of the machinery or of the user's package.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from .project import Project

# The hash seed changes the order of sets, and so of the nodes of a model file; the number of
# threads changes the last bits of sums. Python and NumPy read both when they start. PYTHONPATH
# makes an experiment, which runs in a copy of the project, import the code of that copy.
ENVIRONMENT = {
    "PYTHONPATH": "src",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # of ONNX Runtime
}


def run(project: Project, words: list[str]) -> int:
    """Run the stage and return the exit code; report a user's mistake in one sentence."""
    from .data import agreement, contract
    from .files import UserError, read_yaml
    from .paths import PARAMS
    from .progress import spinner

    name, *arguments = words or [""]
    try:
        with spinner(" ".join(words)):
            agreement.require(read_yaml(PARAMS), contract.load())
            _stage(project, name)(project, *arguments)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _stage(project: Project, name: str) -> Callable[..., None]:
    """The `main` of the machinery's stage of this name, or of the project's module."""
    from .files import UserError

    for module in (f"{__package__}.stages.{name}", f"{project.package}.{name}"):
        if name.isidentifier() and find_spec(module):
            stage: Callable[..., None] | None = getattr(import_module(module), "main", None)
            if stage is not None:
                return stage
    path = f"src/{project.package}/{name}.py"
    raise UserError(f"no stage has this name; write your own as a function main(project) in {path}")


def main(project: Project) -> None:
    """Run the stage in this process, or in a fork of one that has the libraries imported."""
    words = sys.argv[1:]
    if not ENVIRONMENT.items() <= os.environ.items():
        command = [sys.executable, "-m", project.package, *words]
        os.execve(sys.executable, command, os.environ | ENVIRONMENT)
    # Set by `dvc repro`, and removed for the forks. Forks are not safe elsewhere than on Linux.
    if os.environ.pop("DVC_STAGE", None) and sys.platform == "linux":
        from . import forkserver

        code = forkserver.ask(project.package, words)
        if code is not None:
            sys.exit(code)
        forkserver.start()
    sys.exit(run(project, words))
