"""Upstream's real files, which may lie beside this repository; tests that read them are skipped where they do not."""

import pytest

from xltlib.scales import ROOT

REAL = ROOT.parent / "shared" / "realdata"


def needs(name: str) -> pytest.MarkDecorator:
    """A mark that skips a test when these real files are not there."""
    return pytest.mark.skipif(not (REAL / name).exists(), reason=f"{name}'s real files are not beside this repository")
