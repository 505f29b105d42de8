"""What must hold before a version is published."""

import pytest

from machinery.ci.distribution import checks
from machinery.versions import registry
from machinery.versions.checking import run_checks


def test_a_tag_that_was_made_by_hand_is_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "versions", dict)
    (result,) = run_checks(checks("v9.0.0")[:1])
    assert not result.passed and "no release v9.0.0 (released: none)" in result.found
    assert result.remedy == "only the command 'release' makes a release"
