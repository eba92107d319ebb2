"""Tables as a screen reader and a phone want them: a caption, scoped headers, a box that scrolls by itself."""

import html
import math
import re
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import display

from xltlib.errors import InputError

MEASURED = re.compile(r"(\S+ \[\S+, \S+\]), n = (\d+)")
"""How `statistics.Summary` tells a mean, its interval and n."""

WIDE = 6
"""From so many columns on a table has smaller print, so that it fits the page."""


def table(frame: pd.DataFrame, caption: str, scale: str, *, digits: int = 3, index: bool = False) -> None:
    """Display a data frame as an HTML table with a caption and scoped headers; InputError without a caption.

    An n that all means of the table share is told once, in the caption: so that cells stay narrow on a phone.
    """
    if not str(caption or "").strip():
        raise InputError("table: give it a caption that says what its rows are")
    caption = f"Smoke run, not a result. {caption}" if scale == "smoke" else caption
    shown, caption = shared_n(frame.reset_index() if index else frame, caption)
    plain = f"{caption}\n{shown.to_string(index=False)}"
    display({"text/html": _table_html(shown, caption, digits), "text/plain": plain}, raw=True)


def shared_n(frame: pd.DataFrame, caption: str) -> tuple[pd.DataFrame, str]:
    """The table without ", n = ..." in its cells and a caption that tells it, when two means or more share one n."""
    cells = [value for value in frame.to_numpy(dtype=object).ravel() if isinstance(value, str)]
    found = [match[2] for value in cells if (match := MEASURED.fullmatch(value))]
    if len(found) < 2 or len(set(found)) > 1:
        return frame, caption
    shorter = lambda value: MEASURED.sub(r"\1", value) if isinstance(value, str) else value  # noqa: E731
    return frame.map(shorter), f"{caption}; n = {found[0]} in every cell with an interval"


def _table_html(frame: pd.DataFrame, caption: str, digits: int) -> str:
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    kinds = [' class="xlt-number"' if number and i else "" for i, number in enumerate(numeric)]
    names = zip(kinds, frame.columns, strict=True)
    head = "".join(f'<th scope="col"{kind}>{html.escape(str(name))}</th>' for kind, name in names)
    body = "".join(_row_html(row, frame.columns, numeric, digits) for row in frame.itertuples(index=False, name=None))
    label, text = html.escape(textwrap.shorten(caption, 90)), html.escape(caption)
    kind = "xlt-table xlt-wide" if len(frame.columns) >= WIDE else "xlt-table"
    return (
        f'<div class="{kind}" role="region" tabindex="0" aria-label="{label}"><table class="dataframe">'
        f"<caption>{text}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row_html(row: tuple, columns: Sequence[str], numeric: Sequence[bool], digits: int) -> str:
    texts = [html.escape(_cell(value, digits, column)) for value, column in zip(row, columns, strict=True)]
    first, rest = texts[0], list(zip(texts, numeric, strict=True))[1:]
    cells = "".join(f'<td class="xlt-number">{t}</td>' if number else f"<td>{t}</td>" for t, number in rest)
    return f'<tr><th scope="row">{first}</th>{cells}</tr>'


def _cell(value: object, digits: int, column: str = "") -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float | np.floating):
        if column == "p" and round(value, digits) == 0:
            return f"<\u00a0{10**-digits:.{digits}f}"  # no test gives a p of zero
        return f"{value:.{digits}f}"
    if isinstance(value, int | np.integer) and abs(value) >= 10_000:
        return f"{value:,}"
    kept = re.sub(r"(\[\S+), (\S+\])", "\\1,\u00a0\\2", str(value))  # an interval is not broken over two lines
    return re.sub(r"\bn = (\d+)", "n\u00a0=\u00a0\\1", kept)
