"""Post a Markdown file on the pull request of the running CI job.

Needs only the standard library, so that it can report a job whose set-up failed. The Makefile calls
it; `report --output` writes the file.
"""

import sys
from pathlib import Path

from machinery.pipeline.files import UserError

from .comment import comment
from .job import running

if __name__ == "__main__":
    try:
        comment(Path(sys.argv[1]), running())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
