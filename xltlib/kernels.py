"""Execute one notebook with papermill, in a kernel that is this interpreter and that does not outlive its runner."""

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets import default

from xltlib import book
from xltlib.course import NotebookFailed, one_line
from xltlib.scales import ROOT

FAILURES = (PapermillExecutionError, RuntimeError, TimeoutError)  # a cell's, a kernel's, a start's
START_SECONDS = 180  # a kernel on a busy machine or a cold disk is slow to start


class SameInterpreter(AsyncKernelManager):
    """Starts `python3` as `sys.executable -m ipykernel_launcher`, whatever kernels the user has installed."""

    @default("kernel_spec_manager")
    def _no_installed_kernels(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])

    @default("transport_encryption")
    def _private(self) -> str:
        """Without it each kernel warns that its messages on this machine can be read by others."""
        return "auto" if zmq.has("curve") else "disabled"

    async def _async_interrupt_kernel(self) -> None:
        """Not when it is asked to end: jupyter_client interrupts it first, and an idle kernel now and then tells that
        as an error on our terminal."""
        if not self.shutting_down:
            await super()._async_interrupt_kernel()


def execute(notebook: Path, out: Path, parameters: Mapping[str, Any]) -> None:
    """Run every cell of `notebook` with the repository's root as folder, saving to `out` after each cell.

    Raises NotebookFailed when a cell fails, the kernel dies, or the last code cell did not run.
    """
    with ending_kernels():
        done = _executed(notebook, out, parameters)
    last = runnable(done)[-1:]
    if last and last[0].execution_count is None:
        raise _failure(notebook, out, RuntimeError("the run ended before the last cell"))
    _without_local_paths(done, notebook)
    done.metadata["xltlib"] = {"machine": book.machine(), "versions": book.versions()}
    nbformat.write(done, out)


def runnable(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells that are not empty (papermill passes over empty ones)."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def _executed(notebook: Path, out: Path, parameters: Mapping[str, Any], tries: int = 2) -> nbformat.NotebookNode:
    """A second try only when no cell had begun: kernels that start together can race for a port."""
    try:
        return _papermill(notebook, out, parameters)
    except FAILURES as error:
        begun = isinstance(error, PapermillExecutionError) or _begun(out)
        if begun or tries == 1:
            raise _failure(notebook, out, error) from None
    return _executed(notebook, out, parameters, tries - 1)


def _papermill(notebook: Path, out: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    out.unlink(missing_ok=True)
    return papermill.execute_notebook(
        notebook, out, dict(parameters), kernel_name="python3", language="python", progress_bar=False, cwd=ROOT,
        kernel_manager_class=SameInterpreter, start_timeout=START_SECONDS,
    )  # fmt: skip


def _failure(notebook: Path, out: Path, error: Exception) -> NotebookFailed:
    """One line. The exception says that it failed; the partial copy only says how far it came."""
    if isinstance(error, PapermillExecutionError):
        what = f"{error.ename}: {_plain(error.evalue)}"
    elif isinstance(error, DeadKernelError):
        what = "the kernel died (killed, or out of memory)"
    else:
        what = one_line(error)
    cell = len(_begun(out))
    where = f"code cell {cell}" if cell else "the start of the kernel"
    return NotebookFailed(f"{notebook.stem} failed in {where}: {what}; partial copy: {_relative(out)}")


def _plain(text: str) -> str:
    return one_line(Exception(re.sub(r"\x1b\[[0-9;]*m", "", text)))


def _begun(out: Path) -> list[nbformat.NotebookNode]:
    """The code cells of a partial copy that were begun."""
    if not out.exists():
        return []
    cells = runnable(nbformat.read(out, as_version=4))
    return [cell for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _without_local_paths(done: nbformat.NotebookNode, notebook: Path) -> None:
    done.metadata.papermill |= {"input_path": f"notebooks/{notebook.name}", "output_path": notebook.name}


@contextmanager
def ending_kernels() -> Iterator[None]:
    """On Ctrl-C, SIGTERM or SIGHUP end every process below this one at once, then let the signal do its work.

    Kernels run in a session of their own, so that neither Ctrl-C nor a signal to this process's group reaches them.
    When this process is killed outright they notice by themselves: ipykernel polls its parent, a grid's workers theirs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: Any) -> None:
    logging.getLogger("asyncio").disabled = True  # it would report the kernel's end as an error of ours
    for process in psutil.Process().children(recursive=True):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
