"""A grid of runs: in this process, in worker processes, or on a Dask cluster; every finished run is kept.

Called through `Store.run_grid`. joblib does the scheduling; what is ours is that each worker computes with one torch
thread, writes its own record, and ends when its parent does.
"""

import functools
import importlib.metadata
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from xltlib.errors import InputError
from xltlib.records import Record, Result, RunSpec, naming, one_line
from xltlib.scales import ROOT

PACKAGES = ("xltlib", "torch", "transformers", "EasyNMT", "ctranslate2", "numpy", "pandas", "scikit-learn")
Run = Callable[[RunSpec], Result]
ATTEMPTS = 2  # a run whose worker died (out of memory, killed) is tried once more


class GridError(RuntimeError):
    """Some runs of a grid failed; the message names the first one. The finished ones are in the store."""


class WorkerTrace(Exception):
    """The traceback of a failed run, as text: tracebacks do not cross processes."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed: `message` is one line; `by_input` when the run raised InputError."""

    message: str
    trace: str
    by_input: bool


def each(function: Callable[[Any], Any], items: Sequence, jobs: int, name: str = "prepared") -> None:
    """Call a function on every item, for what it leaves on disk; in `jobs` processes with one torch thread each. A
    progress bar shows when there is more than one item."""
    hidden = {"disable": True} if len(items) < 2 else {}
    with tqdm(total=len(items), desc=name, **hidden) as bar:
        if jobs == 1 or len(items) < 2:
            for item in items:
                function(item)
                bar.update()
        else:
            with joblib.parallel_config("loky", inner_max_num_threads=1):
                pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
            for _ in pool(joblib.delayed(function)(item) for item in items):
                bar.update()


def run_grid(
    store: Any, specs: Iterable[RunSpec], run: Run, *, jobs: int, progress: bool, cluster: str | None
) -> list[Record]:
    """`Store.run_grid`, which documents it."""
    specs = list(specs)
    unique = list(dict.fromkeys(specs))
    done = {spec: record for spec in unique if (record := store.find(spec))}
    failed: dict[RunSpec, Failure] = {}
    hidden = {} if progress else {"disable": True}  # left out, tqdm obeys the environment's TQDM_DISABLE
    with tqdm(total=len(unique), initial=len(done), desc="runs", **hidden) as bar:
        for _ in range(ATTEMPTS):
            todo = [spec for spec in unique if spec not in done and spec not in failed]
            try:
                for spec, outcome in _outcomes(store, todo, run, jobs, cluster):
                    (failed if isinstance(outcome, Failure) else done)[spec] = outcome
                    bar.update()
            except TerminatedWorkerError:
                # joblib gives up the whole pool when one worker dies; what the others finished is in the store
                done |= {spec: record for spec in todo if spec not in failed and (record := store.find(spec))}
    for spec in unique:
        if spec not in done and spec not in failed:
            failed[spec] = Failure("its worker process died twice (out of memory?); try fewer jobs", "", False)
    if failed:
        raise _error(failed, len(unique))
    return [done[spec] for spec in specs]


def _error(failed: dict[RunSpec, Failure], total: int) -> Exception:
    spec, first = next(iter(failed.items()))
    named = first.message if str(spec) in first.message else f"run {spec} failed: {first.message}"
    text = f"{named} ({len(failed)} of {total} runs failed; the others are kept)"
    if first.by_input:
        return InputError(text)
    error = GridError(text)
    error.__cause__ = WorkerTrace(first.trace) if first.trace else None
    return error


def _outcomes(store: Any, specs: list[RunSpec], run: Run, jobs: int, cluster: str | None) -> Iterator[tuple]:
    """(spec, Record or Failure) as runs end, in any order."""
    if not specs:
        return
    if cluster:
        yield from _on_cluster(store, specs, run, cluster)
    elif jobs == 1:
        with one_thread():
            for spec in specs:
                yield spec, _attempt(lambda spec=spec: store.write(spec, *timed(run, spec)))
    else:
        with joblib.parallel_config("loky", inner_max_num_threads=1):
            pool = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
        # loky replaces a worker that has grown by 300 MB, which ours do when they fill their caches, and warns of it
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
        # closing: on Ctrl-C the pool is torn down at once, not when Python gets to it
        with closing(pool(joblib.delayed(_in_worker)(os.getpid(), store, run, spec) for spec in specs)) as outcomes:
            yield from outcomes


def _on_cluster(store: Any, specs: list[RunSpec], run: Run, address: str) -> Iterator[tuple]:
    """The same on a Dask scheduler. This process writes the records: the workers need not share its disk."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError(f"cluster {address}: the package distributed is missing; pip install distributed") from None
    try:
        socket.create_connection((urlsplit(address).hostname or "", urlsplit(address).port or 0), timeout=10).close()
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        why = f"no Dask scheduler answers there ({one_line(error)})"
        raise InputError(f"cluster {address}: {why}; give an address such as tcp://host:8786") from None
    with client:
        with joblib.parallel_config("dask"):
            pool = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        with closing(pool(joblib.delayed(_remote)(run, spec) for spec in specs)) as outcomes:
            for spec, outcome in outcomes:
                yield spec, outcome if isinstance(outcome, Failure) else store.write(spec, *outcome)


def _attempt(work: Callable) -> Any:
    try:
        return work()
    except Exception as error:
        line = one_line(error)
        message = line if isinstance(error, InputError) else f"{type(error).__name__}: {line}"
        return Failure(message, traceback.format_exc(), isinstance(error, InputError))


def _in_worker(parent: int, store: Any, run: Run, spec: RunSpec) -> tuple:
    _end_with(parent)
    with one_thread():
        return spec, _attempt(lambda: store.write(spec, *timed(run, spec)))


def _remote(run: Run, spec: RunSpec) -> tuple:
    with one_thread():
        return spec, _attempt(lambda: timed(run, spec))


@functools.cache
def _end_with(parent: int) -> None:
    """End this worker within a second of its parent's end, however that came; leave Ctrl-C to the parent.

    Polling, not prctl(PR_SET_PDEATHSIG): that signal comes when the *thread* that started the worker ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: sums in another order give other last digits, and a result must not depend on `jobs`."""
    torch = sys.modules.get("torch")  # a grid that needs no torch does not pay for its import
    before = torch.get_num_threads() if torch else None
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


def timed(run: Run, spec: RunSpec) -> tuple[Result, dict]:
    """`run(spec)` and the record's info: seconds of wall time, provenance, the UTC time at the end."""
    start = time.perf_counter()
    result = naming(run)(spec)
    seconds = round(time.perf_counter() - start, 3)
    if not hasattr(result, "metrics"):
        raise TypeError(f"the run returned {type(result).__name__}, not a store.Result")
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return result, {"seconds": seconds, "device": device(), "finished": finished} | _code()


def device() -> str:
    """The accelerator's name when torch is loaded and sees one, else the processor."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    bfloat16 = ", avx512_bf16" if torch and torch.cpu._is_avx512_bf16_supported() else ""
    return f"cpu ({platform.machine()}, {os.cpu_count()} cores{bfloat16})"


@functools.cache
def _code() -> dict:
    """Versions of the packages that decide results, and the git commit ("-dirty" with uncommitted changes). Files of
    data/reference do not count: a grid of several parts writes them, and what a run depends on is in its spec."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"versions": versions, "commit": commit_of(ROOT) or "unknown"}


def commit_of(root: Path) -> str:
    """The commit of a checkout, with "-dirty" when files that git tracks were changed outside of data/reference; ""
    where there is no git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)data/reference")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
