"""edited: params.yaml and contract.yaml as people edit them in; the faults in them out.

A stage reads its own section alone, and DVC runs only the stages whose params have changed: an
unknown key could stay there unnoticed. Git's hook and `doctor` look here.
"""

import sys

from machinery.pipeline.data import contract
from machinery.pipeline.files import UserError, read_yaml
from machinery.pipeline.paths import CONTRACT, PARAMS


def check() -> str:
    """Read both files whole.

    Raises:
        UserError: naming every place that is wrong, such as a key that is not known.
    """
    from machinery.pipeline.data import agreement  # needs NumPy, and doctor may have to do without

    agreement.require(read_yaml(PARAMS), contract.load())
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
