"""Run one stage: `python -m PACKAGE.stages NAME [ARGUMENT ...]`, always in the same environment."""

import importlib
import os
import sys

# The hash seed orders sets (and with them the nodes of a model file); the number of threads
# changes the last bits of sums. Both must be set before Python and NumPy start. An experiment runs
# in a copy of the project: the code to run is the one that lies there, not the installed one.
ENVIRONMENT = {
    "PYTHONPATH": "src",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def main() -> None:
    """Run the stage; a user's mistake is one sentence and an exit code, never a traceback."""
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        command = [sys.executable, "-m", str(__package__), *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | ENVIRONMENT)

    from ..files import UserError
    from ..progress import busy

    try:
        with busy(" ".join(sys.argv[1:])):
            stage = importlib.import_module(f".{sys.argv[1]}", __package__)
            stage.main(*sys.argv[2:])
    except UserError as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
