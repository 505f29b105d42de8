"""Check params.yaml and contract.yaml as people edit them.

A stage reads its own section alone, and DVC runs only the stages whose params have changed, so an
unknown key could go unnoticed. Git's pre-commit hook runs this module, `doctor` calls it.
"""

import sys

from machinery.pipeline.data import contract
from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CONTRACT, PARAMS


def check() -> str:
    """Read both files whole.

    Raises:
        UserError: with every error, such as an unknown key.
    """
    from machinery.pipeline.data import (
        agreement,  # needs NumPy, which doctor may have to do without
    )

    agreement.require(read_yaml(PARAMS), contract.load())
    return f"every key of {PARAMS} and {CONTRACT} is known"


if __name__ == "__main__":
    try:
        check()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
