import os
import re
import resource
import subprocess
import sys

import pytest

from xltlib import check, cli, course, store
from xltlib.errors import InputError


def told(capsys):
    """What the command printed: output, and its one line of complaint."""
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") <= 1
    return captured.out, captured.err


def xlt(*arguments, **options):
    """The command as a process of its own."""
    command = [sys.executable, "-m", "xltlib.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def seconds_of(*arguments, **options):
    """The finished command and the processor time it took: the clock on the wall depends on what else is running."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = xlt(*arguments, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_quick_and_imports_nothing_heavy():
    done, seconds = seconds_of("--help")
    assert seconds < 1
    assert done.returncode == 0 and "notebooks" in done.stdout
    heavy = "import sys, xltlib.cli; print({'torch', 'pandas', 'papermill', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True) == "set()\n"


def test_run_by_number(small_course, capsys, monkeypatch):
    monkeypatch.setenv("XLT_JOBS", "9")
    small_course("02_second", "import os\nassert (scale, seeds, os.environ['XLT_JOBS']) == ('smoke', 5, '2')")
    assert cli.main(["run", "02", "--scale", "smoke", "-p", "seeds", "5", "--jobs", "2"]) == 0
    out, _ = told(capsys)
    assert str(course.EXECUTED / "smoke" / "02_second.ipynb") in out


def test_without_a_name_all_notebooks_run_in_order(small_course, capsys):
    small_course("02_second")
    small_course("00_first")
    assert cli.main(["run", "-p", "scale", "smoke"]) == 0
    assert re.findall(r"^(\w+) at smoke", told(capsys)[0], re.MULTILINE) == ["00_first", "02_second"]


def test_fresh_tells_the_kernel_from_when_on_records_count(small_course):
    small_course("01_a", "import os\nassert os.environ['XLT_FRESH'].startswith('20')")
    assert cli.main(["run", "1", "--scale", "smoke", "--fresh"]) == 0


def test_a_failing_cell_is_exit_1_with_one_line_and_a_partial_copy(small_course, capsys):
    small_course("01_a", "1 / 0")
    small_course("02_b")
    assert cli.main(["run", "--scale", "smoke"]) == 1
    _, line = told(capsys)
    partial = course.EXECUTED / "smoke" / "01_a.partial.ipynb"
    assert line == f"xlt: 01_a failed in code cell 3: ZeroDivisionError: division by zero; partial copy: {partial}\n"
    assert partial.exists()
    assert not (course.EXECUTED / "smoke" / "02_b.ipynb").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "07"], "no notebook '07'; the course has: 01_a, 02_b"),
        (["run", "-p", "sedes", "3"], "unknown parameter 'sedes'; its parameters are: scale"),
        (["run", "01", "-p", "seeds", "x"], "seeds must be int"),
        (["run", "-p", "seeds", "3"], "02_b: unknown parameter 'seeds'"),
        (["run", "--scale", "huge"], "choose from 'smoke', 'mini', 'paper'"),
        (["run", "-p", "scale", "huge"], "unknown scale 'huge'; use one of: smoke, mini, paper"),
        (["run", "--jobs", "0"], "must be a whole number from 1 on"),
        (["run", "--jobs"], "expected one argument"),
        (["plan", "9"], "no notebook '9'"),
        (["models", "build", "gpt"], "unknown checkpoint 'gpt'; use one of: mini-m2m"),
        (["data", "get", "xyz"], "unknown data set 'xyz'; use one of: umsab"),
        (["book", "--scale", "huge"], "choose from 'smoke', 'mini', 'paper'"),
        (["frobnicate"], "choose from 'check', 'list', 'run'"),
        ([], "required"),
    ],
)
def test_a_bad_argument_is_exit_2_with_one_line_before_anything_runs(small_course, capsys, arguments, message):
    small_course("01_a")
    small_course("02_b", parameters='scale = "mini"')
    try:
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code
    out, line = told(capsys)
    assert code == 2
    assert message in line and line.startswith("xlt")
    assert not out
    assert not course.EXECUTED.exists()


def test_interrupting_is_exit_130_with_one_line(small_course, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    small_course("01_a")
    monkeypatch.setattr(course, "run", interrupted)
    assert cli.main(["run", "1"]) == 130
    assert "the same command resumes" in told(capsys)[1]


def test_an_unwritable_folder_is_one_line(small_course, capsys, monkeypatch, tmp_path):
    small_course("01_a")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(course, "EXECUTED", tmp_path / "file" / "executed")
    assert cli.main(["run", "1"]) == 1
    assert "Not a directory" in told(capsys)[1]


def test_list_and_plan_show_the_measured_cost(small_course, capsys):
    small_course("01_a", cost={"mini": {"minutes": 1.5, "memory_gb": 1.2, "download_gb": 0}})
    small_course("02_b")
    assert cli.main(["list"]) == 0
    out, _ = told(capsys)
    assert "About 01_a" in out and "1.5, 1.2, 0" in out and "not measured" in out
    assert cli.main(["plan", "-p", "seeds", "4"]) == 0
    out, _ = told(capsys)
    assert "scale=mini, seeds=4" in out and "measured, in all: 1.5 minutes, without 1 not measured" in out


def test_the_output_may_be_cut_off():
    command = f"{sys.executable} -m xltlib.cli list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def a_record(records, version=1, finished="2026-01-01", seed=1):
    spec = store.RunSpec("otc", "infonce", version, "mini@1", "mini-mbert@1", seed, {"languages": ["en"]})
    result = store.Result([{"language": "de", "metric": "f1_micro", "value": 0.5}])
    return records.write(spec, result, {"finished": finished, "seconds": 1800})


def test_records_counts_runs_and_names_stale_and_damaged_ones(capsys, monkeypatch, tmp_path):
    records = store.Store(tmp_path)
    monkeypatch.setattr(store, "Store", lambda: records)
    assert cli.main(["records"]) == 0
    assert "no records yet" in told(capsys)[0]
    a_record(records)
    a_record(records, seed=2)
    a_record(records, version=2, finished="2026-02-01")
    a_record(records, seed=3).path.write_text("{")
    assert cli.main(["records"]) == 0
    assert told(capsys)[0].splitlines()[-1].split() == ["otc", "3", "1", "1", "1.50"]


def test_check_without_a_network_within_ten_seconds():
    silent = {"HF_ENDPOINT": "https://192.0.2.1"}  # an address that never answers
    done, seconds = seconds_of("check", env=os.environ | silent)
    assert seconds + check.HUB_SECONDS < 10
    assert not done.stderr
    assert re.search("optional +Hub +192.0.2.1 not reachable", done.stdout)
    assert done.returncode == (1 if "MISSING" in done.stdout else 0)
    for what in ("Python", "C++ compiler", "Packages", "Device", "Memory", "Disk", "Checkpoint", "Hub", "Apertium"):
        assert re.search(rf"^(ok|optional|MISSING) +{re.escape(what)}", done.stdout, re.MULTILINE), what


def fail(*_):
    raise InputError("weights.safetensors: its sha256 is not the recorded one; xlt models build it")


@pytest.mark.parametrize(
    ("what", "rows", "code"),
    [
        ("Disk", [check.Row("Disk", "0.1 GB free", False, "free at least 1 GB")], 1),
        ("Hub", [check.Row("Hub", "not reachable", False, "connect", needed=False)], 0),
        ("Checkpoint", [check._checkpoint("mini-mbert", fail)], 1),
        ("Checkpoint", [check._checkpoint("mini-mbert", print)], 0),
    ],
)
def test_check_names_the_remedy_and_fails_only_for_what_mini_needs(capsys, monkeypatch, what, rows, code):
    capsys.readouterr()
    monkeypatch.setattr(check, "rows", lambda: iter(rows))
    assert cli.main(["check"]) == code
    out, _ = told(capsys)
    assert what in out and rows[0].remedy in out


def test_a_package_that_is_not_as_locked_is_named(monkeypatch, tmp_path):
    (tmp_path / "lock").write_text("# comment\nabsent-package==1.0\npytest==0.1\nPapermill==2\n")
    monkeypatch.setattr(check, "LOCK", tmp_path / "lock")
    missing = check._missing_packages()
    assert missing["absent-package"] == "absent" and missing["pytest"] == pytest.__version__
    row = check._packages(missing)
    assert not row.ok and row.needed and "absent-package (absent)" in row.found
    assert not check._packages({"pytest": "9"}).needed


def test_memory_is_compared_with_the_measured_cost(small_course):
    assert check._memory().ok
    small_course("01_a", cost={"mini": {"memory_gb": 10_000}})
    row = check._memory()
    assert not row.ok and "10000.0 GB" in row.remedy
