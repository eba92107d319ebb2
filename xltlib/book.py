"""Builds the course's book: its own pages and the executed notebooks of one scale, with warnings as errors.

Sources are gathered in build/book_source, built there by Jupyter Book without running anything, checked, and only then
put in the place of the book that was there before.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from xltlib import made_pages, pages
from xltlib.errors import InputError, several
from xltlib.executed import clean, load, with_present_text
from xltlib.scales import BUILD, ROOT

PACKAGES = (
    *("torch", "transformers", "easynmt", "ctranslate2", "sacrebleu", "scikit-learn", "statsmodels", "numpy", "pandas"),
    *("matplotlib", "papermill", "jupyter-book"),
)
CHANGELOG = ROOT / "CHANGELOG.md"
MADE = {
    "claims": made_pages.claims_page,
    "corrections": lambda: made_pages.corrections_page(CHANGELOG),
}
"""Pages that are made from records; every book has them, since its other pages link to them."""
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
# Jupyter Book's own front door has neither a title nor an icon, so that a browser asks for one in vain.
_FRONT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Machine translation for cross-lingual transfer</title>
<link rel="icon" href="_static/favicon.svg"><meta http-equiv="refresh" content="0; url=intro.html"></head>
<body><p><a href="intro.html">To the book</a></p></body></html>
"""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build(
    executed: Path,
    out: Path = ROOT / "book" / "_build",
    *,
    book: Path = ROOT / "book",
    notebooks: Path = ROOT / "notebooks",
    staged: Path = BUILD / "book_source",
) -> Path:
    """Build the book of one scale into `out`/html and return its index.html.

    `executed` is build/executed/<scale>; its name is the scale. InputError, in one line: a notebook of the table of
    contents was not executed at that scale (or its code changed since), the build warned, a figure lacks an alt text,
    a page asks another site for something. A book that was in `out` stays when the new one fails.
    """
    stage(executed, book=book, notebooks=notebooks, staged=staged)
    html = _jupyter_book(staged)
    (html / "index.html").write_text(_FRONT, encoding="utf-8")
    pages.check(html)
    target = out / "html"
    shutil.rmtree(target, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    shutil.move(html, target)
    return target / "index.html"


def stage(executed: Path, *, book: Path, notebooks: Path, staged: Path) -> list[str]:
    """Gather the sources of the book in `staged` (emptied first); returns the notebooks' names in reading order."""
    names = _names(book, notebooks)
    copies = {name: load(executed / f"{name}.ipynb", executed.name) for name in names}
    for name, copy in copies.items():
        source = notebooks / f"{name}.ipynb"
        if source.is_file() and not with_present_text(copy, source):
            remedy = f"xlt run {name[:2]} --scale {executed.name}"
            raise InputError(f"the code of {name} has changed since it was executed: run `{remedy}`")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(book, staged, ignore=shutil.ignore_patterns("_build", ".ipynb_checkpoints"))
    for name, make in MADE.items():
        (staged / f"{name}.md").write_text(make(), encoding="utf-8")
    _list_made_pages(staged / "_toc.yml")
    (staged / "status.md").write_text(status(copies, executed.name), encoding="utf-8")
    (staged / "notebooks").mkdir()
    for name, copy in copies.items():
        nbformat.write(clean(copy), staged / "notebooks" / f"{name}.ipynb")
    return names


def _names(book: Path, notebooks: Path) -> list[str]:
    """The notebooks of the table of contents, which must hold every notebook of the folder."""
    toc = book / "_toc.yml"
    if not toc.is_file():
        raise InputError(f"{toc.name} is missing in {book.name}: the book needs a table of contents")
    entry = re.compile(r"^\s*-?\s*file:\s*notebooks/(\S+?)(?:\.ipynb)?\s*$", re.MULTILINE)
    names = entry.findall(toc.read_text(encoding="utf-8"))
    left_out = sorted({path.stem for path in notebooks.glob("[0-9][0-9]_*.ipynb")} - set(names))
    if left_out:
        raise InputError(f"notebook {left_out[0]} is not in book/_toc.yml: add `- file: notebooks/{left_out[0]}`")
    return names


def _list_made_pages(toc: Path) -> None:
    """Put the made pages at the end of a table of contents that does not list them: a page that is not in it is
    unknown."""
    text = toc.read_text(encoding="utf-8").rstrip("\n")
    entries = re.findall(r"^( *)- file:\s*(\S+)", text, re.MULTILINE)
    missing = [name for name in MADE if name not in {file.removesuffix(".md") for _, file in entries}]
    if missing and entries:
        lines = [f"{entries[-1][0]}- file: {name}" for name in missing]
        toc.write_text("\n".join([text, *lines, ""]), encoding="utf-8")


def _jupyter_book(staged: Path) -> Path:
    """Run Jupyter Book over the staged sources; the log goes beside them. Returns the folder with the pages."""
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(staged), "-n", "-W", "--keep-going", "--all", "-q"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    said = _COLOUR.sub("", run.stdout + run.stderr)
    log = staged.parent / f"{staged.name}.log"
    log.write_text(said, encoding="utf-8")
    if run.returncode:
        raise InputError(f"the book did not build: {_first_complaint(said, staged)}; all of it is in {_relative(log)}")
    return staged / "_build" / "html"


def _first_complaint(said: str, staged: Path) -> str:
    lines = [line.strip() for line in said.splitlines()]
    complaints = [line for line in lines if re.search(r"\b(WARNING|ERROR|CRITICAL):", line)]
    complaints = complaints or [line for line in lines if re.match(r"\w*(Error|Exception)\b", line)] or lines[-1:]
    return complaints[0].replace(f"{staged}/", "") if complaints else "Jupyter Book said nothing"


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


# The status page ------------------------------------------------------------------------------------------------------


def machine() -> str:
    """The class of this machine, without its name: "Linux x86_64, 2 cores, no GPU"."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {gpu}"


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """The installed version of each package, "not installed" when there is none."""
    return {"python": platform.python_version(), **{name: _version(name) for name in several(packages, "packages")}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def status(copies: dict[str, NotebookNode], scale: str) -> str:
    """The status page (Markdown): what ran, at which scale, for how long, when, on what.

    A runner may leave `metadata.xltlib = {"machine": machine(), "versions": versions()}` in a copy; without it, this
    machine and its packages are named.
    """
    places = [copy.metadata.get("xltlib", {}).get("machine") or machine() for copy in copies.values()]
    several = len(set(places)) > 1
    pairs = zip(copies.items(), places, strict=True)
    rows = [_status_row(name, copy, scale, place if several else "") for (name, copy), place in pairs]
    known = [copy.metadata.get("xltlib", {}).get("versions") for copy in copies.values()]
    packages = next((found for found in known if found), None) or versions()
    head = ["# Status of this book", "", f"Every notebook page shows what one run at scale `{scale}` gave."]
    head[-1] += "" if several else f" All ran on one machine: {next(iter(places), machine())}."
    if scale == "smoke":
        head += ["", ":::{warning}", "A smoke run proves that the code runs. None of its numbers is a result.", ":::"]
    head += ["", "What was wrong and has been mended stands on the page {doc}`corrections`."]
    columns = ["Notebook", "Scale", "Wall time", "Finished (UTC)", *(["Machine"] if several else []), "Parameters"]
    return "\n".join(
        [
            *[*head, "", "## Notebooks", ""],
            *[_line(columns), _line(["---"] * len(columns)), *rows],
            *["", "## Packages", "", _line(["Package", "Version"]), _line(["---", "---"])],
            *[_line([name, number]) for name, number in packages.items()],
            "",
        ]
    )


def _status_row(name: str, copy: NotebookNode, scale: str, place: str) -> str:
    ran = copy.metadata.get("papermill", {})
    given = {k: v for k, v in ran.get("parameters", {}).items() if k != "scale" and "/" not in str(v)}
    settings = ", ".join(f"`{key}={value}`" for key, value in given.items()) or "defaults"
    seconds = ran.get("duration")
    took = "not recorded" if seconds is None else f"{seconds:.0f} s"
    cells = [f"[{name}](notebooks/{name}.ipynb)", scale, took, _when(ran.get("end_time")), place, settings]
    return _line([cell for cell in cells if cell])


def _when(stamp: str | None) -> str:
    return "not recorded" if not stamp else datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
