"""edited: params.yaml and contract.yaml as people edit them in; the first fault in them out.

A stage reads its own section alone, and DVC runs only the stages whose params have changed: an
unknown key could stay there unnoticed. Git's hook and `doctor` look here.
"""

import sys

from machinery.pipeline import params
from machinery.pipeline.data import contract
from machinery.pipeline.files import UserError
from machinery.pipeline.paths import CONTRACT, PARAMS


def check() -> str:
    """Read both files whole.

    Raises:
        UserError: naming the place that is wrong, such as a key that is not known.
    """
    for section in params.SECTIONS:
        params.load(section)
    contract.load()
    return f"every key of {PARAMS} and {CONTRACT} is known"


def main() -> None:
    """Check, and exit with the sentence of the fault."""
    try:
        check()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
