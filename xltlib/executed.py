"""Executed copies of notebooks, made fit for publication: no local paths, no bookkeeping, no progress bars."""

import html
import re
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from xltlib.errors import InputError
from xltlib.scales import ROOT

_BAR = re.compile(r"\d+%\|.*\|\s*\d|\d+it \[\d|^\s*\d+%\|")
_NO_WIDGETS = re.compile(r"^.*TqdmWarning: IProgress not found.*\n.*autonotebook.*\n?", re.MULTILINE)
_WIDGETS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
_KEPT = ("kernelspec", "language_info")
_PICTURE = re.compile(r"(data:image/[\w+]+;base64,[A-Za-z0-9+/=]+)")
_CELL_FILE = re.compile(r"(?:/[\w.-]+)+/ipykernel_\d+/\d+\.py")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def load(path: Path, scale: str) -> NotebookNode:
    """The executed copy at `path`; InputError when it is missing, damaged, of another scale or not run to its end."""
    remedy = f"xlt run {path.name[:2]} --scale {scale}"
    if not path.is_file():
        raise InputError(f"{path.stem} was not executed at scale {scale}: run `{remedy}`")
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise InputError(f"{path.name} at scale {scale} is not a readable notebook: run `{remedy}`") from error
    ran_at = notebook.metadata.get("papermill", {}).get("parameters", {}).get("scale", scale)
    if ran_at != scale:
        raise InputError(f"{path.stem} was executed at scale {ran_at}, not {scale}: run `{remedy}`")
    if not _finished(notebook):
        raise InputError(f"{path.stem} did not run to its end at scale {scale}: run `{remedy}`")
    return notebook


def _finished(notebook: NotebookNode) -> bool:
    """Every cell ran and none failed: papermill's own status can say completed after a kernel's death."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    failed = any(output.output_type == "error" for cell in code for output in cell.outputs)
    return not failed and all(cell.execution_count is not None for cell in code)


def with_present_text(executed: NotebookNode, source: Path) -> bool:
    """Put the text cells of the notebook as it is now around the executed code cells.

    False, and nothing changed, when the code is no longer the same (what papermill put in left out).
    """
    ran = [c for c in executed.cells if c.cell_type == "code"]
    own = [c for c in ran if "injected-parameters" not in c.metadata.get("tags", [])]
    now = nbformat.read(source, as_version=4).cells
    if [c.source for c in now if c.cell_type == "code"] != [c.source for c in own]:
        return False
    left = iter(own)
    executed.cells = [next(left) if cell.cell_type == "code" else cell for cell in now]
    return True


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook for the book, changed in place: one parameters cell shown, outputs settled, metadata stripped."""
    for cell in notebook.cells:
        tags = list(cell.metadata.get("tags", []))
        if "injected-parameters" in tags:
            tags.append("remove-cell")  # or the parameters would show twice
        kept = {key: value for key, value in cell.metadata.items() if key == "mystnb"}
        cell.metadata = NotebookNode({**kept, "tags": tags} if tags else kept)
        if cell.cell_type == "code":
            cell.outputs = _settled(cell.outputs)
        else:
            cell.source = re.sub(r"\]\((?:\./)?\.\./book/", "](../", cell.source)  # works in JupyterLab and in the book
    notebook.metadata = NotebookNode({key: notebook.metadata[key] for key in _KEPT if key in notebook.metadata})
    return notebook


def _settled(outputs: list[NotebookNode]) -> list[NotebookNode]:
    settled, messages = [], []
    for output in outputs:
        if output.output_type == "stream":
            text = _text(output.text)
            if output.name == "stderr":
                messages.append(text)
            elif text.strip() and settled and settled[-1].output_type == "stream":
                settled[-1].text += text
            elif text.strip():
                settled.append(nbformat.v4.new_output("stream", name="stdout", text=text))
        elif not any(kind in output.get("data", {}) for kind in _WIDGETS):
            settled.append(_mapped(output, without_paths))
    return settled + _collapsed("".join(messages))


def _text(text: str) -> str:
    """What a terminal would show at the end: the last state of each line, without progress bars and colours."""
    text = _NO_WIDGETS.sub("", _ANSI.sub("", text))
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return without_paths("\n".join(line for line in lines if not _BAR.search(line)))


def _collapsed(messages: str) -> list[NotebookNode]:
    if not messages.strip():
        return []
    text = messages.strip()
    page = f'<details class="xlt-messages"><summary>Messages</summary><pre>{html.escape(text)}</pre></details>'
    return [nbformat.v4.new_output("display_data", data={"text/html": page, "text/plain": text})]


def _mapped(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return NotebookNode({key: _mapped(inner, change) for key, inner in value.items()})
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def without_paths(text: str) -> str:
    """The text without this machine's folders: the repository becomes ".", a home folder "~", a cell's file "cell"."""
    parts = _PICTURE.split(text)  # pictures stay as they are: base64 text can hold "/root", and is long
    parts[::2] = [_plain_without_paths(part) for part in parts[::2]]
    return "".join(parts)


def _plain_without_paths(text: str) -> str:
    text = _CELL_FILE.sub("cell", text)
    for folder, short in ((ROOT, ""), (Path(sys.prefix), ".venv/"), (Path.home(), "~/")):
        if len(folder.parts) > 1:
            place = rf"(?<![\w/.]){re.escape(str(folder))}"  # a path does not start in the middle of a word
            text = re.sub(rf"{place}(?![\w/-])", short.rstrip("/") or ".", re.sub(f"{place}/", short, text))
    return text
