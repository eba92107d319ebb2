"""What several test modules share: tiny notebooks, a course in a temporary folder, tiny models of paper 4."""

import os
from pathlib import Path

import nbformat
import pytest

from xltlib import course

OFFLINE = Path(__file__).parent / "offline"
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}


PARAMETERS = 'scale = "mini"\nseeds = 3'


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS, cost: dict | None = None) -> Path:
    """A clean notebook: a heading, a parameters cell, and one code cell for each text."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    heading = nbformat.v4.new_markdown_cell(f"# About {path.stem}")
    book = nbformat.v4.new_notebook(cells=[heading, first, *map(nbformat.v4.new_code_cell, cells)])
    book.metadata |= {"kernelspec": KERNELSPEC, "xlt": {"cost": cost or {}}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """`write(name, *cells)` adds a notebook to a course of its own, with its own executed copies."""
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(course, "EXECUTED", tmp_path / "executed")
    return lambda name, *cells, **options: write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", *cells, **options)


@pytest.fixture
def no_network(monkeypatch):
    """Kernels and other processes started in the test cannot reach another machine."""
    path = [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("XLT_BLOCK_SOCKETS", "1")


@pytest.fixture(scope="session")
def made_objectives(tmp_path_factory):
    """A folder with paper 4's tokenizer and five tiny models, built once."""
    from tiny_objectives import build_shipped, move_to

    folder = tmp_path_factory.mktemp("objectives")
    with pytest.MonkeyPatch.context() as patch:
        move_to(folder, patch)
        build_shipped()
    return folder


@pytest.fixture
def tiny(made_objectives, tmp_path, monkeypatch):
    """A copy of them, to be changed."""
    from tiny_objectives import copied

    return copied(made_objectives, tmp_path / "copy", monkeypatch)
