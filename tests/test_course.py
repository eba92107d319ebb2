import contextlib
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from xltlib import course
from xltlib.errors import InputError


def outputs(path):
    """The text that a notebook's code cells printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells if c.cell_type == "code" for o in c.outputs)


def test_the_course_is_what_lies_in_the_folder(small_course):
    small_course("02_second", cost={"mini": {"minutes": 1.5}})
    small_course("00_start")
    small_course("draft")
    assert [(n.number, n.slug, n.title) for n in course.notebooks()] == [
        ("00", "start", "About 00_start"),
        ("02", "second", "About 02_second"),
    ]
    assert course.find("02").cost == {"mini": {"minutes": 1.5}}


@pytest.mark.parametrize("name", ["2", "02", "second", "02_second", "02_second.ipynb"])
def test_a_notebook_has_several_names(small_course, name):
    path = small_course("02_second")
    assert course.find(name).path == path
    assert course.find(path).path == path


def test_an_unknown_notebook_lists_the_known(small_course):
    small_course("02_second")
    with pytest.raises(InputError, match=r"no notebook '03'.*02_second"):
        course.find("03")


def test_a_file_that_is_no_notebook_is_named(small_course):
    small_course("02_second").write_text("{")
    with pytest.raises(InputError, match=r"02_second\.ipynb: not a notebook"):
        course.notebooks()


PARAMETERS = """
scale = "mini"
seeds = 3
rate = 0.1  # learning rate
quick: bool = False
languages = ["en", "de"]
sizes = [1, 2]
corpus = "mini"  # one of: mini, umsab
"""


def test_values_get_the_parameters_types(small_course):
    path = small_course("01_a", parameters=PARAMETERS)
    given = {"seeds": "5", "rate": "1", "quick": "true", "languages": "fr, ja", "sizes": "[3,4]", "corpus": "umsab"}
    expected = {"seeds": 5, "rate": 1.0, "quick": True, "languages": ["fr", "ja"], "sizes": [3, 4], "corpus": "umsab"}
    assert course.check_parameters(path, given) == expected


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sedes", "3", "unknown parameter 'sedes'; its parameters are: scale, seeds"),
        ("seeds", "many", r"seeds must be int \(default 3\), not 'many'"),
        ("seeds", 2.5, "seeds must be int"),
        ("seeds", True, "seeds must be int"),
        ("rate", "fast", "rate must be float"),
        ("quick", "maybe", "quick must be bool"),
        ("sizes", "1,x", "sizes must be list"),
        ("languages", 3, "languages must be list"),
        ("corpus", 3, "corpus must be str"),
        ("corpus", "xnli", "unknown corpus 'xnli'; use one of: mini, umsab"),
        ("scale", "huge", "unknown scale 'huge'; use one of: smoke, mini, paper"),
    ],
)
def test_a_wrong_parameter_is_told_before_anything_runs(small_course, name, value, message):
    path = small_course("01_a", "raise SystemError", parameters=PARAMETERS)
    with pytest.raises(InputError, match=message) as error:
        course.run(course.find("01"), "smoke", {name: value})
    assert "\n" not in str(error.value)
    assert not course.executed(course.find(path), "smoke").parent.exists()


def test_a_run_leaves_the_executed_copy(small_course, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    small_course(
        "01_a",
        "import os, sys\nprint('scale', scale, 'seeds', seeds)",
        "print('in', os.getcwd())\nprint('python', sys.executable)",
        "for name in ('HF_HUB_OFFLINE', 'TQDM_DISABLE', 'XLT_FRESH'):\n    print(name, os.environ[name])",
        "",
    )
    path = course.run(course.find("01"), "smoke", {"seeds": "7"}, fresh="2026-01-01")
    assert path == course.EXECUTED / "smoke" / "01_a.ipynb"
    assert list(path.parent.iterdir()) == [path]
    text = outputs(path)
    assert "scale smoke seeds 7" in text
    assert f"in {course.ROOT}\n" in text
    assert f"python {sys.executable}\n" in text
    assert "HF_HUB_OFFLINE 1\nTQDM_DISABLE 1\nXLT_FRESH 2026-01-01\n" in text
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    metadata = nbformat.read(path, as_version=4).metadata.papermill
    assert not [value for value in metadata.values() if str(value).startswith("/")]


def test_a_users_own_python3_kernel_is_not_used(small_course, tmp_path, monkeypatch):
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text('{"argv": ["/bin/false"], "display_name": "broken", "language": "python"}')
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    small_course("01_a", "print('fine')")
    assert outputs(course.run(course.find("01"), "smoke")) == "fine\n"


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("raise ValueError('first\\nsecond')", r"01_a failed in code cell 4: ValueError: first second; partial copy: "),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", r"01_a failed in code cell 4: the kernel died"),
        ("import sys\nsys.exit(0)", r"01_a failed in code cell 4: the run ended before the last cell"),
    ],
    ids=["exception", "killed", "exit"],
)
def test_a_failure_is_one_line_and_a_partial_copy(small_course, cell, told):
    small_course("01_a", "print('before')", cell, "print('after')")
    final = course.executed(course.find("01"), "smoke")
    final.parent.mkdir(parents=True)
    final.write_text("of an earlier run")
    with pytest.raises(course.NotebookFailed, match=told) as error:
        course.run(course.find("01"), "smoke")
    assert "\n" not in str(error.value)
    partial = final.with_name("01_a.partial.ipynb")
    assert str(partial) in str(error.value)
    assert "before" in outputs(partial) and "after" not in outputs(partial)
    assert not final.exists()


def test_a_kernel_that_is_done_is_asked_to_end_and_not_interrupted(small_course, monkeypatch):
    """An interrupt at the end now and then puts an error on the terminal of a run without errors."""
    from xltlib.kernels import SameInterpreter

    sent, real = [], SameInterpreter._async_signal_kernel

    async def spied(self, number):
        sent.append(number)
        await real(self, number)

    monkeypatch.setattr(SameInterpreter, "_async_signal_kernel", spied)
    small_course("01_a")
    course.run(course.find("01"), "smoke")
    assert sent == []


def test_a_kernel_that_does_not_start_is_tried_once_more(small_course, monkeypatch):
    from xltlib import kernels

    small_course("01_a", "print('ran')")
    started = []
    real = kernels.papermill.execute_notebook

    def flaky(*arguments, **options):
        started.append(1)
        if len(started) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return real(*arguments, **options)

    monkeypatch.setattr(kernels.papermill, "execute_notebook", flaky)
    assert outputs(course.run(course.find("01"), "smoke")) == "ran\n"
    started[:] = [1, 1]
    monkeypatch.setattr(kernels.papermill, "execute_notebook", lambda *a, **k: flaky(started.clear()))
    with pytest.raises(course.NotebookFailed, match="start of the kernel: Kernel died before replying"):
        course.run(course.find("01"), "smoke")


RUNNER = """
import sys
from pathlib import Path
from xltlib import cli, course
course.NOTEBOOKS, course.EXECUTED = Path(sys.argv[1]) / "notebooks", Path(sys.argv[1]) / "executed"
sys.exit(cli.main(["run", "1", "--scale", "smoke"]))
"""
SLEEPER = """
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path({file!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
"""


@pytest.fixture
def sleeping(small_course, tmp_path):
    """A runner in a process of its own, in the middle of a cell; the ids of its kernel and of the kernel's child."""
    file = tmp_path / "pids"
    small_course("01_a", SLEEPER.format(file=str(file)))
    pids = []
    with subprocess.Popen([sys.executable, "-c", RUNNER, tmp_path], stderr=subprocess.PIPE, text=True) as runner:
        try:
            deadline = time.time() + 300
            while len(pids) < 2 and time.time() < deadline:
                time.sleep(0.1)
                pids = list(map(int, file.read_text().split())) if file.exists() else []
            yield runner, *pids
        finally:
            for pid in (runner.pid, *pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def gone(pid, seconds=20.0):
    """Whether a process ends within some seconds (a zombie has ended)."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_runner_kernel_and_its_children(sleeping, number, code):
    runner, kernel, child = sleeping
    runner.send_signal(number)
    assert runner.wait(timeout=60) == code
    assert gone(kernel) and gone(child)
    told = runner.stderr.read()
    assert "Traceback" not in told
    if number == signal.SIGINT:
        assert told == "xlt: interrupted; finished runs are kept, and the same command resumes\n"


def test_no_kernel_outlives_a_killed_runner(sleeping):
    runner, kernel, _ = sleeping
    runner.kill()
    assert gone(kernel)
