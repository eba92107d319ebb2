"""A small book for tests: the real configuration and style, two small notebooks, executed by papermill."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from xltlib import book
from xltlib.scales import ROOT

ALT = "Three dots with bars: the mean of each method, with its interval"
TOC = """format: jb-book
root: intro
parts:
  - caption: Small
    chapters:
      - file: notebooks/01_small
      - file: notebooks/02_second
  - caption: Reference
    chapters:
      - file: claims
      - file: corrections
      - file: glossary
      - file: bibliography
      - file: instructor_guide
      - file: status
"""
CARD = """# A small notebook

<div class="xlt-card">

**You will learn** what a *zanzibarium* is. See the [glossary](../book/glossary.md).

| Scale | Time | Memory |
| --- | --- | --- |
| smoke | 3 s | 0.2 GB |

</div>

The loss of one pair is $\\log(1 + e^{-s/\\tau})$, and so

$$
\\mathcal{L} = \\frac{1}{n} \\sum_i \\ell_i .
$$

<details><summary>Solution</summary>

Forty-two, in `code`.

</details>
"""
PLOT = f"""import pathlib, sys
import numpy as np, pandas as pd
from xltlib import plots
plots.FIGURES = pathlib.Path("figures")
print("over" + "written", end="\\r"); print("in", plots.__file__)
print("  5%|=   | 1/20 [00:0", "1<00:19]", sep="", file=sys.stderr); print("careful", file=sys.stderr)
rng = np.random.default_rng(0)
methods, languages = ["zero-shot", "translated only", "original"], ["de", "es", "ja"]
runs = [(m, l, .5 + i / 10 + rng.normal(0, .02)) for i, m in enumerate(methods) for l in languages for _ in range(3)]
frame = pd.DataFrame(runs, columns=["method", "language", "value"])
fig, ax = plots.figure(7, 4)
plots.dot_interval(ax, frame, baseline=.2, printed={{"de": .55}})
plots.show(fig, "{ALT}", "01_dots", scale=scale, source="experiment small, 27 runs", caption="Dots & bars.")
plots.table(frame.head(), "The first runs", scale)"""
SECOND = """import pathlib
from xltlib import plots
import numpy as np, pandas as pd
plots.FIGURES = pathlib.Path("figures")
codes = ["en", "de", "es", "fr", "ja", "zh"]
matrix = pd.DataFrame(np.linspace(.2, .8, 36).reshape(6, 6), codes, codes)
fig, axes = plots.figure(10, 4.2, columns=2)
plots.heatmap(axes[0], matrix)
plots.heatmap(axes[1], matrix - .5, label="difference", centre=0)
plots.show(fig, "Two matrices of numbers that rise from the top left to the bottom right", "02_matrix", scale=scale)"""


def notebook(*code: str, text: str = "# A notebook\n\nSome text.") -> nbformat.NotebookNode:
    """A notebook with a text cell, a parameters cell, and the given code cells."""
    parameters = nbformat.v4.new_code_cell('scale = "mini"', metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell(text), parameters, *map(nbformat.v4.new_code_cell, code)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def execute(content: nbformat.NotebookNode, name: str, folder: Path, scale: str = "smoke") -> Path:
    """Write the notebook to folder/notebooks, run it with papermill, return the copy in folder/executed/<scale>."""
    source, target = folder / "notebooks" / f"{name}.ipynb", folder / "executed" / scale / f"{name}.ipynb"
    for path in (source, target):
        path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, source)
    command = [sys.executable, "-m", "papermill", str(source), str(target), "-p", "scale", scale, "--no-progress-bar"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return target


def sources(folder: Path, toc: str = TOC) -> dict[str, Path]:
    """A copy of the real book's pages with a table of contents of its own; the folders that book.build wants."""
    shutil.copytree(ROOT / "book", folder / "book", ignore=shutil.ignore_patterns("_build"))
    (folder / "book" / "_toc.yml").write_text(toc, encoding="utf-8")
    return {"book": folder / "book", "notebooks": folder / "notebooks", "staged": folder / "book_source"}


class SmallBook:
    """Where the small book's things are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.executed = folder / "executed" / "smoke"
        execute(notebook(PLOT, text=CARD), "01_small", folder)
        execute(notebook(SECOND), "02_second", folder)
        self.index = book.build(self.executed, folder / "out", **sources(folder))
        self.html = self.index.parent

    def page(self, name: str) -> str:
        return (self.html / name).read_text(encoding="utf-8")


_MADE: list = []


def made(tmp_path_factory) -> SmallBook:
    """The small book, built when a test first asks for it; when that failed, it fails again at once."""
    if not _MADE:
        try:
            _MADE.append(SmallBook(tmp_path_factory.mktemp("small_book")))
        except Exception as error:
            _MADE.append(error)
    if isinstance(_MADE[0], Exception):
        raise _MADE[0]
    return _MADE[0]
