"""findings: prints what checks see, as lines or as JSON."""

import json
from collections.abc import Iterable

from machinery.versions.checking import Check, examine


def passed(checks: Iterable[Check], *, as_json: bool) -> bool:
    """Print each finding as it comes, or one JSON document; return whether all passed."""
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
