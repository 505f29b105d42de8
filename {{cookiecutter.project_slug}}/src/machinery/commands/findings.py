"""findings: checks in; what each found, as lines or as JSON, printed; whether all passed out."""

import json
from collections.abc import Iterable

from machinery.versions.checking import Check, examine


def passed(checks: Iterable[Check], *, as_json: bool) -> bool:
    """Make the checks; print each finding when it is there, or one JSON document of all."""
    findings = []
    for finding in examine(checks):
        findings.append(finding)
        if not as_json:
            print(finding)
    good = all(finding.passed for finding in findings)
    if as_json:
        documents = [finding._asdict() for finding in findings]
        print(json.dumps({"passed": good, "checks": documents}))
    return good
