"""The house style of the course's figures and tables.

A regime or method has one colour and one marker everywhere (Okabe and Ito's palette, safe for colour-blind readers). A
picture brings its own light panel, so it reads on a light and on a dark page; type is large enough for a phone. Every
figure has an alt text, a line that says which command makes it again, and at smoke scale the word smoke in the picture,
in the alt text and in the caption. The notebook gets an HTML <figure>: alt texts in the metadata of an image/png output
are dropped on the way into the book.
"""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xltlib.colours import BLACK, INK, PANEL, STYLE, VERMILION, colour, marker
from xltlib.errors import InputError
from xltlib.languages import LANGUAGES
from xltlib.scales import BUILD
from xltlib.statistics import keyed, summary
from xltlib.tables import table

FIGURES = BUILD / "figures"
DPI = 160
__all__ = ["colour", "dot_interval", "figure", "heatmap", "marker", "provenance", "show", "table"]


# Figures --------------------------------------------------------------------------------------------------------------


def figure(width: float = 7, height: float = 4, columns: int = 1, rows: int = 1, **subplots) -> tuple[Figure, Axes]:
    """A figure, `width` by `height` inches, and its axes (an array when there is more than one).

    Sets the house style for what is drawn from now on. On a phone type is readable up to a width of 7.
    """
    plt.rcParams.update(STYLE)
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **subplots)


def show(
    fig: Figure,
    alt: str,
    name: str,
    *,
    scale: str,
    source: str | None = None,
    caption: str = "",
    command: str | None = None,
) -> None:
    """Display the figure with its alt text, save it under build/figures/<scale>/<name>.png, and close it.

    `name` is NN_words, NN the notebook's number. `alt` says what the picture shows, in a sentence of 20 characters or
    more. `source` names the records behind it ("experiment otc_ablation, 60 runs"); `command` is what makes it again
    (default: xlt run NN --scale SCALE). InputError for a bad name or alt text.
    """
    alt, name = _checked_alt(alt, name), _checked_name(name)
    if scale == "smoke":
        alt, caption = f"Smoke run, not a result. {alt}", f"Smoke run, not a result. {caption}".strip()
        _stamp(fig)
    png = _png(fig, alt)
    plt.close(fig)
    folder = FIGURES / scale
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png)
    (folder / f"{name}.txt").write_text(alt + "\n", encoding="utf-8")
    note = provenance(name, scale, source, command)
    width = round(fig.get_figwidth() * 100)
    _display(_figure_html(png, alt, caption, note, width), f"[figure {name}] {alt}\n{_plain(note)}")


def provenance(name: str, scale: str, source: str | None = None, command: str | None = None) -> str:
    """The line under a figure, as HTML: the scale, the records behind it, and the one command that makes it again."""
    command = command or f"xlt run {name[:2]} --scale {scale}"
    parts = [f"Scale {html.escape(scale)}"]
    parts += [html.escape(source)] if source else []
    return "; ".join([*parts, f"made again by <code>{html.escape(command)}</code>"]) + "."


def _checked_alt(alt: str, name: str) -> str:
    alt = " ".join(str(alt or "").split())
    if len(alt) < 20 or len(alt.split()) < 4 or re.search(r"\.(png|svg|jpe?g)$", alt):
        raise InputError(f"figure {name}: alt text {alt!r} is too short: say in a sentence what the picture shows")
    return alt


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"\d\d_[a-z0-9_-]+", name):
        raise InputError(f"figure name {name!r}: use the notebook's number and words, such as 02_gap_by_language")
    return name


def _stamp(fig: Figure) -> None:
    size = min(fig.get_figwidth() * 11, fig.get_figheight() * 20)
    place = {"ha": "center", "va": "center", "rotation": 20, "zorder": 9}
    fig.text(0.5, 0.5, "smoke", fontsize=size, color=VERMILION, alpha=0.22, **place)


def _png(fig: Figure, alt: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Software": None, "Description": alt}  # no version in the file: the same figure, the same bytes
    fig.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.15, metadata=metadata)
    return buffer.getvalue()


def _figure_html(png: bytes, alt: str, caption: str, note: str, width: int) -> str:
    data = base64.b64encode(png).decode()
    text = f"{html.escape(caption)}<br>" if caption else ""
    return (
        f'<figure class="xlt-figure"><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}" '
        f'style="width:{width}px;max-width:100%;height:auto">'
        f'<figcaption>{text}<span class="xlt-provenance">{note}</span></figcaption></figure>'
    )


def _display(page: str, plain: str) -> None:
    display({"text/html": page, "text/plain": plain}, raw=True)


def _plain(fragment: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", fragment))


# Standard plots -------------------------------------------------------------------------------------------------------


def dot_interval(
    ax: Axes,
    frame: pd.DataFrame,
    *,
    value: str = "value",
    row: str = "language",
    group: str = "method",
    label: str = "F1-micro",
    baseline: float | None = None,
    printed: Mapping[str, float] | None = None,
    bars: str = "95 % CI",
) -> pd.DataFrame:
    """Mean and 95 % CI of each group in each row, n in the legend; returns the summary that it drew.

    `frame` has one line a run (row, group, value; the interval is then `statistics.summary`'s over the runs), or the
    columns row, group, mean, low, high, n. A row or group that is missing (None, nan) is drawn as "none". `baseline`
    draws the majority baseline (at 0: "no difference"), `printed` the paper's number of a row; `bars` says what low and
    high are. InputError for what cannot be drawn, among it two lines of one row and group.
    """
    drawn = _summarised(frame, value, row, group)
    rows, groups = list(dict.fromkeys(drawn[row])), list(dict.fromkeys(drawn[group]))
    step = 0.7 / max(len(groups), 1)
    for k, name in enumerate(groups):
        part = drawn[drawn[group] == name]
        y = np.array([rows.index(r) for r in part[row]]) + (k - (len(groups) - 1) / 2) * step
        _intervals(ax, part, y, name, k)
    if baseline is not None:
        meaning = f"majority ({baseline:.2f})" if baseline else "no difference"
        ax.axvline(baseline, color=BLACK, linestyle=":", label=meaning)
    known = [(mean, rows.index(r)) for r, mean in (printed or {}).items() if r in rows]
    if known:
        look = {"color": "none", "marker": "d", "markeredgecolor": INK, "markersize": 10}
        ax.plot(*zip(*known, strict=True), linestyle="none", label="printed in the paper", **look)
    _finish_dots(ax, rows, f"{label}, mean and {bars}", len(groups) + (baseline is not None) + bool(known))
    return drawn


def _summarised(frame: pd.DataFrame, value: str, row: str, group: str) -> pd.DataFrame:
    ready = {row, group, "mean", "low", "high", "n"}
    if ready <= set(frame.columns):
        found = keyed(frame, [row, group], "mean")
        if (double := found.duplicated([row, group])).any():
            cell = found.loc[double, [row, group]].iloc[0].to_dict()
            raise InputError(f"dot_interval: two lines for {cell}: give one, or the runs behind them")
        return found.assign(**{name: frame[name].to_numpy() for name in ("low", "high", "n")})
    lines = []
    for (r, g), values in keyed(frame, [row, group], value).groupby([row, group], sort=False)[value]:
        found = summary(values)
        lines.append({row: r, group: g, "mean": found.mean, "low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(lines)


def _intervals(ax: Axes, part: pd.DataFrame, y: np.ndarray, name: str, k: int) -> None:
    runs = sorted(set(part["n"].astype(int)))
    n = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]}-{runs[-1]}"
    mean = part["mean"].to_numpy(float)
    reach = np.nan_to_num(np.abs(np.stack([mean - part["low"], part["high"] - mean]).astype(float)))
    look = {"color": colour(name, k), "marker": marker(name, k), "markeredgecolor": INK, "markeredgewidth": 0.6}
    ax.errorbar(mean, y, xerr=reach, linestyle="none", elinewidth=2, capsize=3, label=f"{name} (n = {n})", **look)


def _finish_dots(ax: Axes, rows: Sequence[str], label: str, entries: int) -> None:
    ax.set_yticks(range(len(rows)), [language_name(r) for r in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlabel(label)
    columns = 2 if entries > 2 else max(entries, 1)
    known = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=lambda entry: "(n = " not in entry[1])
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2, "handletextpad": 0.4}
    ax.legend(*zip(*known, strict=True), ncols=columns, **place)


def language_name(code: str) -> str:
    """German for "de"; anything that is no language code stays as it is."""
    return LANGUAGES[code].name if code in LANGUAGES else str(code)


def heatmap(
    ax: Axes, matrix: pd.DataFrame, *, label: str = "F1-micro", centre: float | None = None, digits: int = 2
) -> None:
    """Train language (rows) by test language (columns), every cell with its number; `centre` for signed differences."""
    if matrix.empty:
        raise InputError("heatmap: the matrix has no cells")
    values = matrix.to_numpy(float)
    reach = np.nanmax(np.abs(values - centre)) if centre is not None else 0
    limits = {} if centre is None else {"vmin": centre - reach, "vmax": centre + reach}
    image = ax.imshow(values, cmap="cividis" if centre is None else "PuOr", aspect="auto", **limits)
    for (i, j), value in np.ndenumerate(values):
        dark = np.array(image.cmap(image.norm(value))[:3]) ** 2.2 @ [0.2126, 0.7152, 0.0722] < 0.18
        text = "–" if np.isnan(value) else f"{value:.{digits}f}"
        ax.text(j, i, text, ha="center", va="center", color=PANEL if dark else INK, fontsize=12.5)
    ax.set_xticks(range(matrix.shape[1]), list(matrix.columns))
    ax.set_yticks(range(matrix.shape[0]), list(matrix.index))
    ax.set(xlabel="tested on", ylabel="trained on")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.figure.colorbar(image, ax=ax, label=label)
