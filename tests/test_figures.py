"""The pictures that README shows are there, and their alt texts are the generated ones."""

import hashlib
import json
import re

import pytest

from xltlib import otc_grid
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


@pytest.mark.parametrize(
    ("name", "specs"), [("02_four_training_sets", otc_grid.live_sets), ("03_otc_on_off", otc_grid.live_contrast)]
)
def test_a_figure_is_of_todays_live_runs(name, specs):
    ids = sorted(spec.id for spec in specs("mini", "en"))
    today = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    known = json.loads((ROOT / "figures" / "runs.json").read_text(encoding="utf-8"))
    remedy = f"xlt run {name[:2]} --scale mini; copy {name}.png and .txt from build/figures/mini; its hash is {today}"
    assert known[name] == today, remedy


def test_every_figure_names_its_runs():
    known = json.loads((ROOT / "figures" / "runs.json").read_text(encoding="utf-8"))
    assert set(known) == {picture.stem for picture in (ROOT / "figures").glob("*.png")}
