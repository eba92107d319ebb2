"""Interactive figures: an Altair chart as a page of its own inside the page, with everything it needs (no network).

The chart lies in an <iframe> whose content is in the page itself, so its scripts and styles touch nothing else. Each
has a static twin by `plots.show` with an alt text: who cannot hover, or sees no iframe, loses nothing of substance.
"""

import html

import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes

from xltlib.colours import BLUE, GREEN, INK, ORANGE, PANEL, VERMILION
from xltlib.errors import InputError
from xltlib.plots import provenance

CLASS_COLOURS = {"blue": BLUE, "orange": ORANGE, "green": GREEN, "red": VERMILION}
"""The house's colour-blind-safe tones for the four classes of Figure 1 of paper 2."""
CLASS_SHAPES = {"blue": "circle", "orange": "square", "green": "triangle-up", "red": "cross"}
MARKERS = {"blue": "o", "orange": "s", "green": "^", "red": "P"}


def static_scatter(ax: Axes, frame: pd.DataFrame, names: dict[str, str]) -> str:
    """Draw the static twin of `probability_scatter` (columns x, y, class), and return the classes' shares in words."""
    for key, label in names.items():
        part = frame[frame["class"] == key]
        style = {"color": CLASS_COLOURS[key], "marker": MARKERS[key], "s": 22, "alpha": 0.6}
        ax.scatter(part["x"], part["y"], label=f"{label} ({len(part)})", **style)
    ax.set(xlabel="P(right class) on T_tst", ylabel="P(right class) on S_tst^MT")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    return ", ".join(f"{label} {(frame['class'] == key).mean():.1%}" for key, label in names.items())


def probability_scatter(
    frame: pd.DataFrame, x: str, y: str, tooltip: list[str], names: dict[str, str], height: int = 460
):
    """An Altair chart of two probabilities a text, with hover texts and a legend that filters.

    frame: columns `x`, `y`, `class` (a key of `names`: blue, orange, green, red), and those of `tooltip`.
    """
    import altair as alt

    frame = frame.assign(kind=frame["class"].map(names))
    present = [key for key in names if (frame["class"] == key).any()]
    domain = [names[key] for key in present]
    choice = alt.selection_point(fields=["kind"], bind="legend")
    legend = alt.Legend(title=None, orient="bottom", columns=2, labelLimit=400)
    axis = lambda title: alt.Axis(title=title, values=[0, 0.25, 0.5, 0.75, 1], format=".2f")  # noqa: E731
    scale = alt.Scale(domain=[0, 1])
    colours = alt.Scale(domain=domain, range=[CLASS_COLOURS[key] for key in present])
    shapes = alt.Scale(domain=domain, range=[CLASS_SHAPES[key] for key in present])
    chart = alt.Chart(frame[[x, y, "kind", *tooltip]]).mark_point(filled=True, size=45).encode(
        x=alt.X(x, type="quantitative", axis=axis(x), scale=scale),
        y=alt.Y(y, type="quantitative", axis=axis(y), scale=scale),
        color=alt.Color("kind:N", scale=colours, legend=legend),
        shape=alt.Shape("kind:N", scale=shapes, legend=legend),
        opacity=alt.condition(choice, alt.value(0.75), alt.value(0.05)),
        tooltip=tooltip,
    )  # fmt: skip
    chart = chart.add_params(choice).properties(width="container", height=height)
    return chart.properties(usermeta={"embedOptions": {"actions": False}}).configure(
        background=PANEL, font="sans-serif", view={"stroke": None},
        axis={"labelFontSize": 13, "titleFontSize": 13, "labelColor": INK, "titleColor": INK},
        legend={"labelFontSize": 13, "labelColor": INK},
    )  # fmt: skip


def show(chart, title: str, name: str, *, scale: str, source: str | None = None, height: int = 640) -> None:
    """Display a chart inside the page, `height` pixels high. `title` says what it shows, for a screen reader.

    InputError for a title shorter than a sentence.
    """
    if len(title.split()) < 4:
        raise InputError(f"interactive figure {name}: title {title!r} is too short: say in a sentence what it shows")
    if scale == "smoke":
        title = f"Smoke run, not a result. {title}"
        chart = chart.properties(title="Smoke run, not a result")
    note = provenance(name, scale, source)
    plain = f"[interactive figure {name}] {title}"
    display({"text/html": _figure(page(chart), title, note, height), "text/plain": plain}, raw=True)


def page(chart) -> str:
    """The chart as one HTML page with its scripts inside."""
    import vl_convert

    content = vl_convert.vegalite_to_html(chart.to_dict(), bundle=True)
    place = '<div id="vega-chart"'
    head, tail = content.split(place)
    start, end = tail.index("<script"), tail.rindex("</script>")
    data = tail[start:end].replace("</", "<\\/").replace("<!--", "<\\!--")  # a text must not end the script
    width = ' style="width:100%"'  # without a width of its own the chart would shrink to nothing
    return head + place + width + tail[:start] + data + tail[end:]


def _figure(content: str, title: str, note: str, height: int) -> str:
    return (
        f'<figure class="xlt-figure xlt-interactive"><iframe title="{html.escape(title)}" loading="lazy" '
        f'style="width:100%;height:{height}px;border:0;background:{PANEL}" srcdoc="{html.escape(content)}"></iframe>'
        f"<figcaption>{html.escape(title)} Hover over a point to read its text; click the legend to filter.<br>"
        f'<span class="xlt-provenance">{note}</span></figcaption></figure>'
    )
