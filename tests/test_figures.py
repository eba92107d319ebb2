"""The pictures that README shows are there, and their alt texts are the generated ones."""

import re

from xltlib.scales import ROOT

SHOWN = re.findall(r"!\[(.*?)\]\((figures/[\w.]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))


def test_readme_shows_figures_with_their_alt_texts():
    assert SHOWN
    for alt, path in SHOWN:
        assert (ROOT / path).exists()
        assert alt == (ROOT / path).with_suffix(".txt").read_text(encoding="utf-8").strip()


def test_every_figure_has_an_alt_text():
    for picture in (ROOT / "figures").glob("*.png"):
        assert len(picture.with_suffix(".txt").read_text(encoding="utf-8").split()) > 5
