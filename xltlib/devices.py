"""Devices by name, and where a training computes: on the processor, or on a GPU with the same numbers every time."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xltlib.errors import InputError, choice

DEVICE = re.compile(r"cpu(?::0)?|cuda(?::([0-9]{1,3}))?")
DEVICES = ("cpu", "cuda")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Read by cuBLAS: work space of one fixed size, so that it does not choose an algorithm by what is free."""


def device_parts(name: str) -> tuple[str, int]:
    """("cpu" or "cuda", number) of "cpu", "cuda" or "cuda:1", for libraries that want both; without a number it is 0.
    InputError for another name."""
    found = DEVICE.fullmatch(str(name))
    if not found:
        raise InputError(f"unknown device {str(name)!r}: use cpu, cuda, or a GPU's number as in cuda:1")
    return str(name).split(":")[0], int(found[1] or 0)


def device(name: str) -> torch.device:
    """The device of a name. InputError for one that torch does not see here."""
    if choice(name, DEVICES, "device") == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device cuda: torch {torch.__version__} sees no GPU here; use device cpu")
    return torch.device(name)


def machine(name: str) -> str:
    """What a device is, for manifests: "NVIDIA H200", or "x86_64 processor"."""
    return torch.cuda.get_device_name(device(name)) if name != "cpu" else f"{platform.machine()} processor"


def described(name: str) -> str:
    """What a device is, for cards: "a GPU (NVIDIA H200)", or "one thread of a processor (x86_64)"."""
    return f"a GPU ({machine(name)})" if name != "cpu" else f"one thread of a processor ({platform.machine()})"


@contextmanager
def repeatable(name: str) -> Iterator[torch.device]:
    """On a GPU: only algorithms that give the same numbers every time, and float32 products in float32 (no TF32). On
    the processor nothing changes: one thread is enough there. What was set before is set again afterwards."""
    where = device(name)
    if name == "cpu":
        yield where
        return
    switches = (
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.backends.cudnn, "allow_tf32"),
        (torch.utils.deterministic, "fill_uninitialized_memory"),  # costs time, and nothing reads such memory here
    )
    values = [getattr(*switch) for switch in switches]
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(WORKSPACE)
    os.environ[WORKSPACE] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    for switch in switches:
        setattr(*switch, False)
    try:
        yield where
    finally:
        os.environ.pop(WORKSPACE) if workspace is None else os.environ.update({WORKSPACE: workspace})
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        for switch, value in zip(switches, values, strict=True):
            setattr(*switch, value)
