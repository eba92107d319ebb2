"""Startup of every Python process below a test: with XLT_BLOCK_SOCKETS=1 nothing but this machine can be reached.

Lies on PYTHONPATH, so kernels and their worker processes read it too. It raises RuntimeError and not OSError: code that
tries the network and carries on without it counts as a failure.
"""

import ipaddress
import os
import socket

LOCAL = {"localhost", "ip6-localhost", "", None, socket.gethostname()}


def is_local(host: object) -> bool:
    """Whether a host name or address is this machine's loopback."""
    host = host.decode() if isinstance(host, bytes) else host
    if host in LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _refuse(host: object) -> None:
    if not is_local(host):
        raise RuntimeError(f"the network is blocked in this test; something wanted to reach {host!r}")


def _guarded(original, position: int):
    def guarded(self, *arguments):
        address = arguments[position]
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse(address[0])
        return original(self, *arguments)

    return guarded


def block() -> None:
    """Replace the functions through which Python code reaches other machines."""
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _guarded(getattr(socket.socket, name), 0))
    socket.socket.sendto = _guarded(socket.socket.sendto, -1)
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **named):
        _refuse(host)
        return look_up(host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


if os.environ.get("XLT_BLOCK_SOCKETS") == "1":
    block()
