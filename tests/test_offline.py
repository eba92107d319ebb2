"""Nothing but scale paper may want the network: the environment says so, and the tests' own barrier holds."""

import os
import subprocess
import sys

import pytest

from xltlib import course


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_the_hub_is_off_at_the_small_scales(monkeypatch, scale):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with course.environment(scale):
        assert python("from huggingface_hub import constants; print(constants.HF_HUB_OFFLINE)").stdout == "True\n"
    assert "HF_HUB_OFFLINE" not in os.environ


def test_the_hub_is_the_users_choice_at_scale_paper(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with course.environment("paper"):
        assert "HF_HUB_OFFLINE" not in os.environ
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with course.environment("paper"):
        assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 443), timeout=1)",
        "import socket; socket.socket().connect_ex(('192.0.2.1', 443))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import socket; socket.getaddrinfo('example.org', 443)",
        "import urllib.request; urllib.request.urlopen('http://example.org')",
        "import requests; requests.get('https://192.0.2.1')",
        "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', "
        "'import socket; socket.socket().connect((\"192.0.2.1\", 80))']))",
    ],
)
def test_the_barrier_stops_what_leaves_this_machine(no_network, code):
    done = python(code)
    assert done.returncode != 0
    assert "the network is blocked in this test" in done.stderr


def test_the_barrier_lets_this_machine_talk_to_itself(no_network):
    server = "import socket; server = socket.create_server(('127.0.0.1', 0)); "
    assert python(server + "socket.create_connection(server.getsockname()); print('ok')").stdout == "ok\n"


def test_a_notebook_that_wants_the_network_fails(small_course, no_network):
    small_course("01_a", "import urllib.request\nurllib.request.urlopen('http://192.0.2.1')")
    with pytest.raises(course.NotebookFailed, match="the network is blocked"):
        course.run(course.find("01"), "smoke")
