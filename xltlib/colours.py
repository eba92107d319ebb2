"""The palette of the course: one colour and one marker for a regime or method, everywhere.

Okabe and Ito's eight colours, which colour-blind readers can tell apart, and a grey. Pale ones get a dark
edge, and no mark is told apart by its colour alone.
"""

import re

import matplotlib.pyplot as plt

from xltlib.languages import LANGUAGES

INK, PANEL, GRID = "#1f2328", "#ffffff", "#d9dde2"
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = PALETTE = (
    *("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
)
GREY = "#6e7681"
_METHODS = {
    "zero-shot": (GREY, "o"),
    "translated only": (ORANGE, "s"),
    "original + translated": (BLUE, "D"),
    "original": (GREEN, "^"),
    "ce": (BLUE, "D"),
    "plain": (BLUE, "D"),
    "otc": (VERMILION, "P"),
    "otc cosine": (PURPLE, "v"),
    "otc margin": (SKY, "<"),
    "supcon": (BLACK, "X"),
    "translate-train": (ORANGE, "s"),
    "translate-test": (SKY, ">"),
    "translate-test, english": (BLACK, "<"),
    "translate-train, mt input": (GREEN, "v"),
    "translate-all": (PURPLE, "P"),
    "mixup": (YELLOW, "h"),
    "musc": (VERMILION, "X"),
    "majority": (BLACK, "|"),
    "printed": (INK, "d"),
}
_SPARE = [(c, m) for c, m in zip((BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, YELLOW), "osD^vP<X", strict=True)]
STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "legend.fontsize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=[c for c, _ in _SPARE]),
    "lines.linewidth": 2,
    "lines.markersize": 8,
    "legend.frameon": False,
    "figure.facecolor": PANEL,
    "axes.facecolor": PANEL,
    "savefig.facecolor": PANEL,
    "image.cmap": "cividis",
}


def colour(name: str, position: int = 0) -> str:
    """The colour of a regime, method or language ("zero-shot", "de"); for another name the spare one at `position`."""
    return _look(name, position)[0]


def marker(name: str, position: int = 0) -> str:
    """The marker that goes with `colour`: colour never stands alone."""
    return _look(name, position)[1]


def _look(name: str, position: int) -> tuple[str, str]:
    key = re.sub(r"[\s_]+", " ", str(name)).strip().lower()
    for candidate in (key, key.replace(" ", "-")):
        if candidate in _METHODS:
            return _METHODS[candidate]
    if key in LANGUAGES:
        position = list(LANGUAGES).index(key)
    return _SPARE[position % len(_SPARE)]
