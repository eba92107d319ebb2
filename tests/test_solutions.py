"""The solutions that a notebook hides are, letter for letter, the cells that `test_notebooks` executes."""

import re

import nbformat
import pytest

from xltlib import course

HIDDEN = re.compile(  # one block of code, and words after it if need be
    r"<details><summary>Solution</summary>\s*```python\n((?:(?!```).)*)\n```(?:(?!```|<details>).)*</details>",
    re.DOTALL,
)
NOTEBOOKS = course.notebooks()


def hidden_solutions(path):
    """The code in the fenced blocks under "Solution", in order."""
    cells = nbformat.read(path, as_version=4).cells
    return [code for cell in cells if cell.cell_type == "markdown" for code in HIDDEN.findall(cell.source)]


def executed_solutions(path):
    """The cells tagged `solution`, in order."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if "solution" in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)
def test_hidden_solutions_are_the_executed_ones(notebook):
    solutions = course.NOTEBOOKS / "solutions" / f"{notebook.name}_solutions.ipynb"
    hidden = hidden_solutions(notebook.path)
    assert len(hidden) == notebook.path.read_text(encoding="utf-8").count("<summary>Solution</summary>") >= 2
    assert hidden == executed_solutions(solutions)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)
def test_every_solution_can_fail(notebook):
    assert all(re.search(r"^\s*assert ", code, re.MULTILINE) for code in hidden_solutions(notebook.path))
