"""pyproject.toml, requirements.lock and environment.yml say the same, and what is installed is what is locked."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from xltlib import __version__
from xltlib.scales import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
LOCK = {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in LINES)}
EXTRAS = [text for group in PROJECT["optional-dependencies"].values() for text in group]


@pytest.mark.parametrize("text", PROJECT["dependencies"] + EXTRAS)
def test_every_range_holds_the_locked_version(text):
    requirement = Requirement(text)
    assert LOCK[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_is_exact_and_plain():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in LINES)
    assert len(LOCK) == len(LINES)
    assert "xltlib" not in LOCK


def test_the_versions_that_the_course_relies_on():
    assert LOCK["torch"] == Version("2.13.0")
    assert LOCK["transformers"] in SpecifierSet("<5")
    assert LOCK["jupyter-book"] == Version("1.0.4.post1")


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    python = next(entry for entry in plain if entry.startswith("python="))
    assert Version(python.removeprefix("python=")) in SpecifierSet(PROJECT["requires-python"])
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-r requirements.lock", "-e ."]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == __version__


RENAMED = {"sklearn": "scikit-learn", "vl_convert": "vl-convert-python", "yaml": "pyyaml", "zmq": "pyzmq"}


def imported(path):
    """The top-level names that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_import_of_the_library_is_a_declared_dependency():
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"] + EXTRAS}
    found = {name for path in (ROOT / "xltlib").rglob("*.py") for name in imported(path)}
    outside = {canonicalize_name(RENAMED.get(name, name)) for name in found - sys.stdlib_module_names - {"xltlib"}}
    assert outside <= declared, sorted(outside - declared)


def test_the_readme_has_exactly_two_set_up_commands():
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks == ["make book\n", "make test\n"]


def test_set_up_a_second_time_does_nothing():
    stamp = ROOT / ".venv" / ".installed"
    if not stamp.exists():
        pytest.skip("not installed through make setup")
    stamp.touch()
    done = subprocess.run(["make", "-C", ROOT, "--no-print-directory", "setup"], capture_output=True, text=True)
    assert done.returncode == 0 and "pip" not in done.stdout


@pytest.mark.parametrize(("setting", "told"), [("COMPILER=", "install g++"), ("PYTHON=", "no Python 3.11")])
def test_set_up_names_what_is_missing(tmp_path, setting, told):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(["make", "-C", tmp_path, "setup", setting], capture_output=True, text=True)
    assert done.returncode != 0 and told in done.stdout
    assert not (tmp_path / ".venv").exists()
