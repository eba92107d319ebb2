"""`xlt check`: what this machine has, what is missing, and the remedy, in one table; it needs no network."""

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from xltlib import course
from xltlib.errors import InputError
from xltlib.scales import ROOT

LOCK = ROOT / "requirements.lock"
DISK_GB = 1.0  # records, executed copies and the built book of a mini run, with room to spare
HUB_SECONDS = 3.0


@dataclass(frozen=True)
class Row:
    """One line of the table. `needed`: whether `mini` cannot run without it."""

    what: str
    found: str
    ok: bool
    remedy: str = ""
    needed: bool = True

    @property
    def state(self) -> str:
        """ok, MISSING (mini cannot run) or optional."""
        return "ok" if self.ok else "MISSING" if self.needed else "optional"


def rows() -> Iterator[Row]:
    """The rows in the order in which one would mend them."""
    hub = _Hub()  # asks while the other rows are made
    missing = _missing_packages()
    yield _python()
    yield _compiler("fasttext" in missing)
    yield _packages(missing)
    yield _device()
    yield _memory()
    yield _disk()
    yield from _checkpoints()
    yield hub.row()
    yield _program("Chromium", ("chromium", "chromium-browser", "google-chrome"), "drives the built book in a test")
    yield _program("Apertium", ("apertium",), "translates real text in notebook 02")


def can_run_mini(found: list[Row]) -> bool:
    """Whether nothing that `mini` needs is missing."""
    return all(row.ok or not row.needed for row in found)


def table(found: list[Row]) -> str:
    """The rows as aligned text; remedies stand beside what is missing."""
    return aligned([(row.state, row.what, row.found, "" if row.ok else row.remedy) for row in found])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text with columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _python() -> Row:
    right = sys.version_info[:2] == (3, 11)
    return Row("Python", platform.python_version(), right, "install Python 3.11, then: make setup")


def _compiler(needed: bool) -> Row:
    path = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    remedy = "install g++ (fasttext is compiled when packages are installed)"
    return Row("C++ compiler", path or "none", bool(path), remedy, needed)


def _missing_packages() -> dict[str, str]:
    """Locked packages that are absent or of another version: name to what was found."""
    present = {_normal(d.metadata["Name"]): d.version.split("+")[0] for d in importlib.metadata.distributions()}
    locked = re.findall(r"^([\w.-]+)==(\S+)$", LOCK.read_text(), re.MULTILINE)
    found = {name: (version, present.get(_normal(name), "absent")) for name, version in locked}
    return {name: installed for name, (version, installed) in found.items() if installed != version}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(missing: dict[str, str]) -> Row:
    names = ", ".join(f"{name} ({found})" for name, found in list(missing.items())[:4])
    absent = [name for name, found in missing.items() if found == "absent"]
    found = f"{len(missing)} not as locked: {names}" if missing else "as in requirements.lock"
    return Row("Packages", found, not missing, "make setup, or: pip install -r requirements.lock", bool(absent))


def _device() -> Row:
    try:
        import torch
    except ImportError as error:
        return Row("Device", f"torch cannot be imported ({error})", False, "make setup")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Row("Device", ", ".join(names) or f"cpu, {os.cpu_count()} cores (scale paper wants a GPU)", True)


def _memory() -> Row:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    needed = max((n.cost.get("mini", {}).get("memory_gb", 0) for n in course.notebooks()), default=0)
    remedy = f"the largest notebook was measured at {needed:.1f} GB: close other programs, or use --jobs 1"
    return Row("Memory", f"{free:.1f} GB free", free >= needed, remedy)


def _disk() -> Row:
    free = shutil.disk_usage(ROOT).free / 2**30
    return Row("Disk", f"{free:.1f} GB free", free >= DISK_GB, f"free at least {DISK_GB:.0f} GB")


def _checkpoints() -> Iterator[Row]:
    try:
        from xltlib import models
    except ImportError as error:
        yield Row("Checkpoints", f"cannot be checked ({error})", False, "make setup")
        return
    for name in models.CHECKPOINTS:
        yield _checkpoint(name, models.verify_checkpoint)


def _checkpoint(name: str, verify: Callable) -> Row:
    try:
        verify(name)
    except InputError as error:
        return Row("Checkpoint", name, False, str(error))
    return Row("Checkpoint", f"{name}, hash as recorded", True)


class _Hub:
    """Asks the hub for a connection, in a thread: a name look-up has no time limit of its own."""

    def __init__(self) -> None:
        self.host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or "huggingface.co"
        self.reachable = False
        self.thread = threading.Thread(target=self._connect, daemon=True)
        self.thread.start()

    def _connect(self) -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, 443), timeout=HUB_SECONDS).close()
            self.reachable = True

    def row(self) -> Row:
        """The answer; no answer in time is one, too."""
        self.thread.join(HUB_SECONDS)
        found = f"{self.host} {'reachable' if self.reachable else 'not reachable'}"
        remedy = "only scale paper needs it: connect, or fill the hub's cache beforehand"
        return Row("Hub", found, self.reachable, remedy, needed=False)


def _program(what: str, names: tuple[str, ...], purpose: str) -> Row:
    path = next(filter(None, map(shutil.which, names)), None)
    return Row(what, path or "none", bool(path), f"{purpose}; nothing else needs it", needed=False)
