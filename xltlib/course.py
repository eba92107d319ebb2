"""The notebooks as a course: which there are, what they cost, what parameters they take; run them with papermill."""

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xltlib.errors import InputError
from xltlib.scales import BUILD, ROOT, SCALES

NOTEBOOKS = ROOT / "notebooks"
EXECUTED = BUILD / "executed"
NAME = re.compile(r"(\d\d)_(\w+)")


class NotebookFailed(RuntimeError):
    """A notebook did not run to its end; the message is one line: notebook, cell, error, path of the partial copy."""


@dataclass(frozen=True)
class Notebook:
    """One notebook. `cost`: measured, {"mini": {"minutes": 2.1, "memory_gb": 1.2, "download_gb": 0}, ...}."""

    number: str
    slug: str
    path: Path
    title: str
    cost: dict

    @property
    def name(self) -> str:
        """File name without .ipynb."""
        return self.path.stem


def notebooks() -> list[Notebook]:
    """The course, in order."""
    return [_read(path) for path in sorted(NOTEBOOKS.glob("*.ipynb")) if NAME.fullmatch(path.stem)]


def _read(path: Path) -> Notebook:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells, metadata = content["cells"], content["metadata"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a notebook ({type(error).__name__}: {error}); restore it from git") from None
    number, slug = NAME.fullmatch(path.stem).groups()
    return Notebook(number, slug, path, _title(cells) or slug, metadata.get("xlt", {}).get("cost", {}))


def _title(cells: list[dict]) -> str:
    """The first heading of the text cells."""
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    heading = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    return heading.group(1).strip() if heading else ""


def find(name: str | Path) -> Notebook:
    """The notebook of a number ("2", "02"), slug, file name or path; InputError lists the valid ones."""
    course = notebooks()
    wanted = str(name).zfill(2) if str(name).isdigit() else str(name)
    for notebook in course:
        known = {notebook.number, notebook.slug, notebook.name, notebook.path.name}
        if wanted in known or Path(name).absolute().resolve() == notebook.path.resolve():
            return notebook
    choices = ", ".join(notebook.name for notebook in course) or "none yet"
    raise InputError(f"no notebook {str(name)!r}; the course has: {choices} (a number is enough)")


def check_parameters(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the types that the notebook's `parameters` cell declares; text is converted ("3" to 3).

    Raises InputError on an unknown name, a wrong type, an unknown scale, or a value that is not in the cell's own list
    (a trailing comment `# one of: mini, umsab`), naming the valid choices. papermill itself only warns.
    """
    known = _parameters(path)
    for name in values:
        if name not in known:
            choices = ", ".join(known) or "none"
            raise InputError(f"{path.stem}: unknown parameter {name!r}; its parameters are: {choices}")
    return {name: _checked(path.stem, name, value, known[name]) for name, value in values.items()}


def _parameters(path: Path) -> dict[str, dict]:
    import papermill

    try:
        return papermill.inspect_notebook(str(path))
    except Exception as error:  # papermill raises plain ValueErrors and its own about metadata; all mean the same here
        raise InputError(f"{path}: its parameters cannot be read ({one_line(error)})") from None


def _checked(notebook: str, name: str, value: Any, parameter: dict) -> Any:
    default = _literal(parameter["default"])
    declared = parameter["inferred_type_name"].split("[")[0]
    kind = type(default).__name__ if declared in ("None", "") else declared
    try:
        value = _converted(value, kind, default)
    except (ValueError, TypeError):
        raise InputError(f"{notebook}: parameter {name} must be {kind} (default {default!r}), not {value!r}") from None
    choices = tuple(SCALES) if name == "scale" else _choices(parameter["help"])
    if choices and value not in choices:
        raise InputError(f"{notebook}: unknown {name} {value!r}; use one of: {', '.join(map(str, choices))}")
    return value


def _choices(comment: str) -> list[str]:
    found = re.search(r"one of:\s*(.+)", comment)
    return re.split(r"\s*,\s*", found.group(1).strip().rstrip(".")) if found else []


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _converted(value: Any, kind: str, default: Any) -> Any:
    """`value` as `kind`; ValueError or TypeError when it is not one."""
    if kind in ("list", "tuple"):
        return _items(value, type(default[0]).__name__ if default else "str")
    if kind == "bool":
        return ("false", "true").index(str(value).lower()) == 1
    if kind == "int" and not isinstance(value, bool | float):
        return int(value)
    if kind == "float" and not isinstance(value, bool):
        return float(value)
    if kind in ("int", "float") or (kind == "str" and not isinstance(value, str)):
        raise ValueError
    return value


def _items(value: Any, kind: str) -> list:
    """A list, or text such as "en,de" or "['en', 'de']", as a list of `kind`."""
    if isinstance(value, str):
        value = [item.strip().strip("'\"") for item in value.strip().strip("[]()").split(",") if item.strip()]
    if not isinstance(value, list | tuple):
        raise TypeError
    return [_converted(item, kind, None) for item in value]


def executed(notebook: Notebook, scale: str) -> Path:
    """Where the executed copy of a notebook lies."""
    return EXECUTED / scale / f"{notebook.name}.ipynb"


def run(notebook: Notebook, scale: str = "mini", parameters: Mapping[str, Any] | None = None, fresh: str = "") -> Path:
    """Execute a notebook from the repository's root; return its copy, `build/executed/<scale>/NN_slug.ipynb`.

    While it runs the copy is called NN_slug.partial.ipynb. `fresh`: an ISO time; records finished before it are not
    reused. Raises InputError on bad parameters, before anything runs, and NotebookFailed.
    """
    from xltlib.kernels import execute

    values = check_parameters(notebook.path, {"scale": scale, **(parameters or {})})
    final = executed(notebook, scale)
    partial = final.with_suffix(".partial.ipynb")
    final.parent.mkdir(parents=True, exist_ok=True)
    final.unlink(missing_ok=True)  # an old copy beside a failed run would pass for its result
    with environment(scale, fresh):
        execute(notebook.path, partial, values)
    os.replace(partial, final)
    return final


@contextmanager
def environment(scale: str, fresh: str = "") -> Iterator[None]:
    """The environment variables that a notebook's kernel inherits."""
    wanted = {"TQDM_DISABLE": "1", "XLT_FRESH": fresh}
    if scale != "paper":
        wanted["HF_HUB_OFFLINE"] = "1"  # a missing checkpoint otherwise makes the hub client retry for minutes
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def one_line(error: BaseException) -> str:
    """An error's message without line breaks, or its type's name."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
