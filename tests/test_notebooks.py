"""Every notebook is clean, parametrised and short of cell, and runs at smoke without a network; so do the solutions."""

import subprocess
import sys
import time

import nbformat
import papermill
import pytest

from xltlib import course
from xltlib.scales import BUILD, ROOT

NOTEBOOKS = course.notebooks()
SOLUTIONS = sorted(p for p in (course.NOTEBOOKS / "solutions").glob("[0-9][0-9]_*") if p.suffix in (".ipynb", ".py"))
FILES = [n.path for n in NOTEBOOKS] + [path for path in SOLUTIONS if path.suffix == ".ipynb"]
LINES = 14
SECONDS = 180  # generous: the machine may be busy; the measured time stands in the notebook's metadata

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_no_two_notebooks_have_one_number():
    assert len({n.number for n in NOTEBOOKS}) == len(NOTEBOOKS)


@each_file
def test_it_is_valid_and_clean(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    assert not [cell.source for cell in code_cells(path) if cell.outputs or cell.execution_count]


@each_file
def test_its_code_cells_are_short(path):
    long = {cell.source.splitlines()[0]: n for cell in code_cells(path) if (n := len(cell.source.splitlines())) > LINES}
    assert not long, f"code cells of more than {LINES} lines"


@each_notebook
def test_it_has_one_parameters_cell_that_starts_with_the_scale(notebook):
    tagged = [cell for cell in code_cells(notebook.path) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    parameters = papermill.inspect_notebook(str(notebook.path))
    first = next(iter(parameters.values()))
    assert (first["name"], first["default"]) == ("scale", '"mini"')


@each_notebook
def test_it_tells_its_measured_cost(notebook):
    for scale in ("smoke", "mini"):
        cost = notebook.cost.get(scale, {})
        assert {"minutes", "memory_gb", "download_gb"} <= cost.keys(), scale
        assert all(isinstance(value, int | float) for value in cost.values())


@each_notebook
def test_it_runs_at_smoke_with_the_network_cut(notebook, no_network, monkeypatch):
    monkeypatch.setenv("XLT_JOBS", "2")
    start = time.perf_counter()
    path = course.run(notebook, "smoke")
    assert time.perf_counter() - start < SECONDS
    assert path == BUILD / "executed" / "smoke" / notebook.path.name


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.name)
def test_a_solution_runs(path, no_network, tmp_path, small_course):
    if path.suffix == ".ipynb":
        solution = course.Notebook(path.stem[:2], path.stem[3:], path, "", {})
        values = {"scale": "smoke"} if "scale" in papermill.inspect_notebook(str(path)) else {}
        assert course.run(solution, parameters=values).exists()
        return
    done = subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
