"""The name of a device, as PyTorch writes it, taken apart for libraries that want its parts."""

import re

from xltlib.errors import InputError

DEVICE = re.compile(r"cpu(?::0)?|cuda(?::([0-9]{1,3}))?")


def device_parts(device: str) -> tuple[str, int]:
    """("cpu" or "cuda", number) of "cpu", "cuda" or "cuda:1"; without a number it is 0. InputError for another name."""
    found = DEVICE.fullmatch(str(device))
    if not found:
        raise InputError(f"unknown device {str(device)!r}: use cpu, cuda, or a GPU's number as in cuda:1")
    return str(device).split(":")[0], int(found[1] or 0)
