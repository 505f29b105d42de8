"""run: a project and the name of a stage in; the stage run, always in the same environment."""

import importlib
import os
import sys

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
    from .progress import busy

    name, *arguments = words
    try:
        with busy(" ".join(words)):
            agreement.require(read_yaml(PARAMS), contract.load())
            stage = importlib.import_module(f"{__package__}.stages.{name}")
            stage.main(project, *arguments)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


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
