"""Records are whole or known to be damaged; a grid survives whatever ends it."""

import functools
import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xltlib import grid
from xltlib.errors import InputError
from xltlib.store import GridError, Result, RunSpec, Store, reference, stale

ROOT = Path(__file__).resolve().parent.parent


def spec(seed: int = 0, **changes) -> RunSpec:
    fields = {"experiment": "otc", "method": "infonce", "version": 1, "corpus": "reviews@aa", "checkpoint": "mbert@bb"}
    return RunSpec(**{**fields, "seed": seed, "settings": {"weight": 0.4, "languages": ["en", "de"]}, **changes})


def run(spec: RunSpec) -> Result:
    """A run that depends on its seed only."""
    rng = np.random.default_rng(spec.seed)
    metrics = [{"language": lang, "metric": "f1_micro", "value": rng.random(), "n": 10} for lang in ("en", "de")]
    return Result(metrics, pd.DataFrame({"item": range(10), "p": rng.random(10)}))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "records")


# Specs ----------------------------------------------------------------------------------------------------------------


def test_same_spec_same_id_whatever_the_key_order():
    one = spec(settings={"a": 1, "b": {"c": 2, "d": (3, 4)}})
    other = spec(settings={"b": {"d": [3, 4], "c": 2.0}, "a": 1})
    assert one.id == other.id and one == other and hash(one) == hash(other)
    assert len(one.id) == 16 and int(one.id, 16) >= 0
    text = (
        '{"checkpoint":"mbert@bb","corpus":"reviews@aa","experiment":"otc","method":"infonce","seed":0,'
        '"settings":{"a":1,"b":{"c":2,"d":[3,4]}},"version":1}'
    )  # the rule, spelled out: committed records hang on it
    assert one.id == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("field", ["experiment", "method", "corpus", "checkpoint"])
def test_every_field_counts(field):
    assert spec(**{field: "x"}).id != spec().id
    assert spec(1).id != spec(0).id and spec(version=2).id != spec().id and spec(settings={}).id != spec().id


def test_a_spec_does_not_follow_its_callers_dict():
    settings = {"weight": 0.4}
    one = spec(settings=settings)
    settings["weight"] = 0.6
    assert one.settings == {"weight": 0.4}


@pytest.mark.parametrize("settings", [{"path": Path("x")}, {"lr": math.nan}, {"set": {1, 2}}])
def test_settings_are_json_values(settings):
    with pytest.raises(InputError, match="is no JSON value"):
        spec(settings=settings)
    with pytest.raises(InputError, match="folder's name"):
        spec(experiment="../otc")


# One record -----------------------------------------------------------------------------------------------------------


def test_a_run_is_run_once(store):
    calls = []
    first = store.run_or_load(spec(), lambda s: calls.append(s) or run(s))
    second = store.run_or_load(spec(), lambda s: calls.append(s) or run(s))
    assert len(calls) == 1 and first.metrics == second.metrics and first.spec == second.spec == spec()
    pd.testing.assert_frame_equal(second.predictions, run(spec()).predictions)
    assert {"seconds", "device", "versions", "commit", "finished"} <= set(second.info)
    assert sorted(p.suffix for p in store.path(spec()).parent.iterdir()) == [".json", ".parquet"]
    assert "pickle" not in store.path(spec()).read_text()


def test_numbers_come_back_exactly(store):
    value = np.float32(0.1)
    metrics = [{"metric": "a", "value": value, "n": np.int64(3)}, {"metric": "b", "value": math.nan}]
    record = store.run_or_load(spec(), lambda s: Result(metrics))
    assert record.metrics[0] == {"metric": "a", "value": float(value), "n": 3} and record.predictions is None
    values = store.frame("otc")["value"]
    assert values[0] == float(value) and math.isnan(values[1])


def test_a_wrong_result_is_told(store):
    with pytest.raises(InputError, match="lacks value"):
        Result([{"metric": "f1"}])
    with pytest.raises(TypeError, match=r"not a store\.Result"):
        store.run_or_load(spec(), lambda s: {"f1": 0.5})
    assert store.find(spec()) is None


def truncate_json(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def empty_json(path: Path) -> None:
    path.write_bytes(b"")


def alter_metric(path: Path) -> None:
    content = json.loads(path.read_text())
    content["metrics"][0]["value"] = 0.99
    path.write_text(json.dumps(content))


def replace_json(path: Path) -> None:
    path.write_text("[1, 2]")


def alter_parquet(path: Path) -> None:
    data = bytearray(path.with_suffix(".parquet").read_bytes())
    data[len(data) // 2] ^= 1
    path.with_suffix(".parquet").write_bytes(data)


def truncate_parquet(path: Path) -> None:
    data = path.with_suffix(".parquet").read_bytes()
    path.with_suffix(".parquet").write_bytes(data[: len(data) // 2])


def lose_parquet(path: Path) -> None:
    path.with_suffix(".parquet").unlink()


DAMAGES = [truncate_json, empty_json, alter_metric, replace_json, alter_parquet, truncate_parquet, lose_parquet]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("as_grid", [False, True], ids=["run_or_load", "run_grid"])
def test_a_damaged_record_is_told_in_one_line_and_run_again(store, capfd, damage, as_grid):
    whole = store.run_or_load(spec(), run)
    damage(store.path(spec()))
    calls = []

    def again(s):
        calls.append(s)
        return run(s)

    mended = store.run_grid([spec()], again, progress=False)[0] if as_grid else store.run_or_load(spec(), again)
    told = capfd.readouterr().err
    assert len(calls) == 1 and mended.metrics == whole.metrics
    assert told.count("\n") == 1 and str(store.path(spec())) in told and "truncated or altered" in told
    assert store.find(spec()).predictions.equals(whole.predictions) and capfd.readouterr().err == ""


def test_a_record_under_anothers_name_is_not_taken_for_it(store, capfd):
    store.run_or_load(spec(0), lambda s: Result([{"metric": "f1", "value": 0.5}]))
    store.path(spec(0)).rename(store.path(spec(1)))
    assert store.find(spec(1)) is None and "describes another run" in capfd.readouterr().err


# Grids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_grid_returns_records_in_order_and_runs_each_spec_once(store, jobs):
    specs = [spec(2), spec(0), spec(1), spec(0)]
    records = store.run_grid(specs, run, jobs=jobs, progress=False)
    assert [record.spec.seed for record in records] == [2, 0, 1, 0]
    assert records[0].metrics == run(spec(2)).metrics and len(store.records("otc")) == 3
    assert store.run_grid(specs, None, jobs=jobs, progress=False)[0].metrics == records[0].metrics


def test_progress_obeys_the_environment(store, capfd, monkeypatch):
    store.run_grid([spec()], run)
    assert "runs" in capfd.readouterr().err
    monkeypatch.setenv("TQDM_DISABLE", "1")
    code = "from test_store import *; Store(sys.argv[1]).run_grid([spec(5)], run)"
    done = subprocess.run([sys.executable, "-c", code, store.root], cwd=ROOT / "tests", env=environment(),
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def fail_on(seed: int, error: type[Exception], spec: RunSpec) -> Result:
    if spec.seed == seed:
        raise error("loss is\nnan")
    return run(spec)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_run_stops_no_other_and_is_named(store, jobs):
    specs = [spec(seed) for seed in range(4)]
    with pytest.raises(GridError) as error:
        store.run_grid(specs, functools.partial(fail_on, 1, RuntimeError), jobs=jobs, progress=False)
    message = str(error.value)
    assert (
        "\n" not in message
        and specs[1].id in message
        and "seed 1" in message
        and "RuntimeError: loss is nan" in message
    )
    assert "1 of 4 runs failed" in message and "fail_on" in str(error.value.__cause__)
    assert [store.find(s) is not None for s in specs] == [True, False, True, True]
    assert len(store.run_grid(specs, run, jobs=jobs, progress=False)) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_users_mistake_in_a_run_stays_one(store, jobs):
    with pytest.raises(InputError, match="loss is nan"):
        store.run_grid([spec(0), spec(1)], functools.partial(fail_on, 1, InputError), jobs=jobs, progress=False)


def die_once(marker: Path, spec: RunSpec) -> Result:
    if spec.seed == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run(spec)


def die(spec: RunSpec) -> Result:
    if spec.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(spec)


@pytest.mark.filterwarnings("ignore::UserWarning")  # joblib's own warning about the worker
def test_a_worker_that_dies_costs_its_run_which_is_tried_again(store, tmp_path):
    specs = [spec(seed) for seed in range(4)]
    records = store.run_grid(specs, functools.partial(die_once, tmp_path / "died"), jobs=2, progress=False)
    assert len(records) == 4 and (tmp_path / "died").exists()
    with pytest.raises(GridError, match="worker process died"):
        store.run_grid([spec(seed, method="other") for seed in range(2)], die, jobs=2, progress=False)


def threads(spec: RunSpec) -> Result:
    import torch

    return Result([{"metric": "threads", "value": torch.get_num_threads()}])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_has_one_torch_thread(store, jobs, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert store.run_grid([spec()], threads, jobs=jobs, progress=False)[0].metrics[0]["value"] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_cluster_without_distributed_is_one_line(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"tcp://nowhere:1: the package distributed is missing; pip install"):
        store.run_grid([spec()], run, cluster="tcp://nowhere:1", progress=False)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://127.0.0.1:port"])
def test_a_cluster_that_does_not_answer_is_one_line(store, monkeypatch, address):
    def refuse(*args, **options):
        raise ConnectionRefusedError("refused")

    monkeypatch.setitem(sys.modules, "distributed", types.SimpleNamespace(Client=None))
    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(InputError, match=f"cluster {address}: no Dask scheduler answers there .*; give an address"):
        store.run_grid([spec()], run, cluster=address, progress=False)


# What ends a grid -----------------------------------------------------------------------------------------------------

GRID = textwrap.dedent("""
    import signal, sys, time, os
    from test_store import Store, run, spec
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit "ignore"
    root, jobs, slow = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    def slowly(s):
        with open(os.path.join(root, "pids"), "a") as stream:
            print(os.getpid(), file=stream)
        time.sleep(slow if s.seed >= 3 else 0)
        return run(s)
    print(len(Store(root).run_grid([spec(n) for n in range(6)], slowly, jobs=jobs, progress=False)))
""")


def environment() -> dict:
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}


def start_grid(root: Path, jobs: int, slow: float) -> subprocess.Popen:
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-c", GRID, str(root), str(jobs), str(slow)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc which processes live")
@pytest.mark.parametrize(
    ("end", "jobs"),
    [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 2)],
    ids=["kill-9", "kill-9-workers", "ctrl-c-workers"],
)
def test_a_grid_ended_in_the_middle_loses_nothing_finished(tmp_path, end, jobs):
    root = tmp_path / "records"
    grid = start_grid(root, jobs, slow=300)
    wait_for(lambda: len(list(root.glob("otc/*.json"))) == 3 and len((root / "pids").read_text().split()) == 3 + jobs)
    workers = set(map(int, (root / "pids").read_text().split()))
    grid.send_signal(end)
    grid.communicate(timeout=60)
    assert grid.returncode != 0
    wait_for(lambda: not any(map(alive, workers)), 60)  # no worker outlives its parent
    written = {path: path.stat().st_mtime_ns for path in root.glob("otc/*.json")}
    assert len(written) == 3 and len(Store(root).records("otc")) == 3

    again = start_grid(root, jobs=1, slow=0)
    out, err = again.communicate(timeout=120)
    assert (again.returncode, out.strip(), err) == (0, "6", "")
    assert written == {path: path.stat().st_mtime_ns for path in written}  # the finished ones were not touched
    assert Store(root).find(spec(5)).metrics == run(spec(5)).metrics


WRITER = textwrap.dedent("""
    import sys
    from test_store import *
    left = int(sys.argv[2])
    def counted(call):
        def before(*args):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args)
        return before
    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
    Store(sys.argv[1]).write(spec(), Result([{"metric": "which", "value": 2}], pd.DataFrame({"which": [2]})))
""")


@pytest.mark.parametrize("calls", range(4))
def test_a_writer_killed_between_any_two_steps_leaves_no_half_record(store, capfd, calls):
    """Overwriting is the hard case: predictions of one run, JSON of another. It must be noticed, never believed."""
    store.write(spec(), Result([{"metric": "which", "value": 1}], pd.DataFrame({"which": [1]})))
    command = [sys.executable, "-c", WRITER, str(store.root), str(calls)]
    assert subprocess.run(command, env=environment()).returncode == -signal.SIGKILL
    found = store.find(spec())
    renamed = calls >= 2  # flush, rename: predictions; flush, rename: JSON
    assert (found is None) == renamed and ("predictions do not match" in capfd.readouterr().err) == renamed
    assert found is None or found.metrics[0]["value"] == found.predictions["which"][0] == 1
    assert store.run_or_load(spec(), run).has_predictions


def test_old_temporary_files_are_swept_and_new_ones_left(store):
    store.run_or_load(spec(), run)
    old, new = (store.path(spec()).with_name(name) for name in (".a.json.1.tmp", ".b.json.2.tmp"))
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (1, 1))
    store.run_grid([spec()], run, progress=False)
    assert not old.exists() and new.exists()


# Frames and references ------------------------------------------------------------------------------------------------


def test_frame_has_a_row_a_metric_with_settings_as_columns(store):
    settings = {"languages": ["en", "de"], "optimizer": {"lr": 1e-3}, "seed": "fixed", "language": "all"}
    store.run_or_load(spec(3, settings=settings), run)
    frame = store.frame("otc")
    assert len(frame) == 2 and frame["language"].tolist() == ["en", "de"]
    row = frame.iloc[0]
    assert (row["seed"], row["settings.seed"], row["settings.language"]) == (3, "fixed", "all")
    assert (row["languages"], row["optimizer.lr"], row["method"], row["corpus"]) == (
        "en,de",
        1e-3,
        "infonce",
        "reviews@aa",
    )
    assert store.frame("nothing").empty and "value" in store.frame("nothing")


def test_reference_round_trip(store, tmp_path):
    store.run_grid([spec(0), spec(1), spec(0, settings={"weight": "swept"})], run, progress=False)
    path = store.export_reference("otc", tmp_path / "reference" / "otc.parquet")
    frame = reference("otc", tmp_path / "reference")
    assert len(frame) == 6 and frame["value"].tolist() == store.frame("otc")["value"].tolist()
    assert {"spec", "commit", "corpus", "checkpoint", "version"} <= set(frame)
    assert RunSpec(**json.loads(frame["spec"][0])).id == frame["id"][0]
    before = path.read_bytes()
    assert store.export_reference("otc", path).read_bytes() == before  # same records, same file

    store.export_predictions("otc", store.records("otc")[:1], tmp_path / "reference" / "otc.predictions.parquet")
    predictions = reference("otc.predictions", tmp_path / "reference")
    assert len(predictions) == 10 and predictions["p"].dtype == "float16"


def test_reference_mistakes_are_one_line(store, tmp_path):
    with pytest.raises(InputError, match="no finished runs"):
        store.export_reference("otc", tmp_path / "otc.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(InputError, match=r"otc\.parquet: no reference records of that name; there are: bad"):
        reference("otc", tmp_path)
    with pytest.raises(InputError, match=r"bad\.parquet: not a readable Parquet file"):
        reference("bad", tmp_path)


def test_stale_names_what_is_not_current(store):
    store.run_grid([spec(0), spec(1, corpus="reviews@old"), spec(2, method="none", version=3)], run, progress=False)
    frame = store.frame("otc")
    current = {"corpus": "reviews@aa", "checkpoint": {"mbert@bb", "m2m@cc"}, "version": {"infonce": 1, "none": 3}}
    assert stale(frame, current) == [
        f"run {spec(1, corpus='reviews@old').id} (method infonce, seed 1): corpus is reviews@old, current is reviews@aa"
    ]
    assert len(stale(frame, {"version": {"infonce": 2, "none": 3}})) == 2
    assert stale(frame, {"corpus": ["reviews@aa", "reviews@old"]}) == []


def test_fresh_ignores_records_from_before_its_start(tmp_path, monkeypatch):
    store, spec = Store(tmp_path), RunSpec("e", "m", 1, "c", "k", 0)
    store.write(spec, Result([{"metric": "f1", "value": 0.5}]), {"finished": "2026-01-01T00:00:00+00:00"})
    monkeypatch.setenv("XLT_FRESH", "2026-01-02T00:00:00+00:00")
    assert store.find(spec) is None
    monkeypatch.setenv("XLT_FRESH", "2025-12-31T00:00:00+00:00")
    assert store.find(spec) is not None


# Reference files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """data/reference of a test."""
    from xltlib import store as module

    monkeypatch.setattr(module, "REFERENCE", tmp_path / "reference")
    original = module.reference
    monkeypatch.setattr(module, "reference", lambda name: original(name, tmp_path / "reference"))
    return tmp_path / "reference"


@pytest.mark.parametrize("seconds", [0, 2.0, 0.25])
def test_seconds_are_floats_even_when_whole(store, seconds):
    store.write(spec(), run(spec()), {"seconds": seconds})
    assert store.frame("otc")["seconds"].dtype == "float64"


def test_a_reference_file_is_completed_and_never_made_twice(folder, tmp_path):
    specs, ran = [spec(seed) for seed in range(4)], []

    def counted(spec: RunSpec) -> Result:
        ran.append(spec.seed)
        return run(spec)

    Store(tmp_path / "here").complete_reference("otc", specs[:2], counted)
    first = reference("otc", folder)
    there = Store(tmp_path / "there")  # another machine, with the file and without the records
    assert there.missing_in_reference("otc", specs) == specs[2:]
    there.complete_reference("otc", specs, counted)
    both = reference("otc", folder)
    assert ran == [0, 1, 2, 3] and list(both["id"].unique()) == [s.id for s in specs]
    pd.testing.assert_frame_equal(both.head(len(first)), first)
    there.complete_reference("otc", specs, counted)
    assert ran == [0, 1, 2, 3]
    there.complete_reference("otc", [specs[3], spec(9)], counted)  # the others are out of date now
    assert list(reference("otc", folder)["id"].unique()) == [specs[3].id, spec(9).id]


def test_a_stopped_grid_leaves_what_is_done_in_the_reference_file(folder, store):
    def stopped(spec: RunSpec) -> Result:
        if spec.seed == 2:
            raise KeyboardInterrupt
        return run(spec)

    specs = [spec(seed) for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        store.complete_reference("otc", specs, stopped)
    assert list(reference("otc", folder)["seed"].unique()) == [0, 1]
    store.complete_reference("otc", specs, run)
    assert list(reference("otc", folder)["seed"].unique()) == [0, 1, 2, 3]


def test_a_commit_is_dirty_by_what_a_run_depends_on(tmp_path):
    """Not by the reference files that a grid of several parts writes before its last run."""

    def git(*arguments):
        named = ["-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
        subprocess.run(["git", *named, *arguments], check=True, capture_output=True)

    (tmp_path / "data" / "reference").mkdir(parents=True)
    code, record = tmp_path / "code.py", tmp_path / "data" / "reference" / "x.parquet"
    for path in (code, record):
        path.write_text("one")
    assert grid.commit_of(tmp_path) == ""
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    clean = grid.commit_of(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    record.write_text("two")
    (tmp_path / "spare.txt").write_text("untracked")
    assert grid.commit_of(tmp_path) == clean
    code.write_text("two")
    assert grid.commit_of(tmp_path) == f"{clean}-dirty"
