"""The house style: alt texts, smoke stamps, provenance, colours, tables."""

import base64
import io
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from xltlib import plots, tables
from xltlib.colours import INK, PANEL, STYLE
from xltlib.errors import InputError

matplotlib.use("agg")
ALT = 'Bars of "F1" & <accuracy> for three languages'


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """What the notebook would display, in order; pictures go to a temporary folder."""
    found = []
    monkeypatch.setattr(plots, "FIGURES", tmp_path)
    for module in (plots, tables):
        monkeypatch.setattr(module, "display", lambda data, raw: found.append(data))
    return found


def picture(page: str) -> np.ndarray:
    data = re.search(r"base64,([^\"]+)", page).group(1)
    return plt.imread(io.BytesIO(base64.b64decode(data)), format="png")


def drawn(width=5, height=3):
    fig, ax = plots.figure(width, height)
    ax.plot([0, 1], [0, 1])
    return fig


def test_figure_has_alt_provenance_and_a_saved_copy(shown, tmp_path):
    fig = drawn()
    plots.show(fig, ALT, "02_lines", scale="mini", source="experiment sets, 12 runs", caption="A caption.")
    page, plain = shown[0]["text/html"], shown[0]["text/plain"]
    assert 'alt="Bars of &quot;F1&quot; &amp; &lt;accuracy&gt; for three languages"' in page
    assert "A caption." in page and "experiment sets, 12 runs" in page
    assert "<code>xlt run 02 --scale mini</code>" in page and "xlt run 02 --scale mini" in plain
    assert (tmp_path / "mini" / "02_lines.txt").read_text(encoding="utf-8") == ALT + "\n"
    assert (tmp_path / "mini" / "02_lines.png").read_bytes().startswith(b"\x89PNG")
    assert not plt.fignum_exists(fig.number)
    assert "smoke" not in page


def test_another_command_can_be_named(shown):
    plots.show(drawn(), ALT, "03_all", scale="mini", command="xlt run 03 -p grid full")
    assert "xlt run 03 -p grid full" in shown[0]["text/html"]
    assert "--scale" not in shown[0]["text/html"]


def test_smoke_is_stamped_into_picture_alt_and_caption(shown, tmp_path):
    for scale in ("mini", "smoke"):
        plots.show(drawn(), ALT, "02_lines", scale=scale)
    mini, smoke = (picture(data["text/html"]) for data in shown)
    assert mini.shape == smoke.shape
    assert (np.abs(mini - smoke).max(axis=2) > 0.05).mean() > 0.01  # the word covers more than one pixel in a hundred
    page = shown[1]["text/html"]
    assert re.search(r'alt="Smoke run, not a result\.', page)
    assert re.search(r"<figcaption>Smoke run, not a result\.", page)
    assert (tmp_path / "smoke" / "02_lines.txt").read_text(encoding="utf-8").startswith("Smoke run")


@pytest.mark.parametrize("alt", ["", None, "   ", "a plot", "figure", "build/figures/mini/02_lines_of_everything.png"])
def test_no_figure_without_an_alt_text(shown, alt):
    fig = drawn()
    with pytest.raises(InputError, match=r"02_lines.*alt text"):
        plots.show(fig, alt, "02_lines", scale="mini")
    assert not shown
    plt.close(fig)


@pytest.mark.parametrize("name", ["lines", "2_lines", "../02_lines", "02_lines.png", "02_"])
def test_figure_names_carry_the_notebook_number(shown, name):
    fig = drawn()
    with pytest.raises(InputError, match="number"):
        plots.show(fig, ALT, name, scale="mini")
    plt.close(fig)


def test_same_figure_same_bytes(shown):
    for _ in range(2):
        plots.show(drawn(), ALT, "02_lines", scale="mini")
    assert shown[0] == shown[1]


def luminance(colour: str) -> float:
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_text_is_dark_on_a_light_panel_and_large_enough_for_a_phone():
    assert (luminance(PANEL) + 0.05) / (luminance(INK) + 0.05) > 7
    points = [value for key, value in STYLE.items() if key.endswith("size") and key != "lines.markersize"]
    phone = 360 / (7 * 72)  # CSS pixels per point when a figure 7 inches wide fills a narrow phone
    assert min(points) * phone >= 8.5


def test_a_method_has_one_look_everywhere():
    names = ["zero-shot", "translated only", "original + translated", "original", "otc", "supcon"]
    looks = [(plots.colour(name), plots.marker(name)) for name in names]
    assert len(set(looks)) == len({colour for colour, _ in looks}) == len(names)
    assert plots.colour("Zero_shot", 5) == plots.colour("zero-shot") == plots.colour("zero shot", 3)
    assert len({plots.colour(code) for code in ("en", "de", "es", "fr", "ja", "zh", "ru")}) == 7
    assert plots.colour("something new", 0) != plots.colour("something new", 1)


def runs() -> pd.DataFrame:
    rows = [("de", "otc", 0.50), ("de", "otc", 0.54), ("de", "ce", 0.48), ("ja", "otc", 0.40), ("ja", "otc", 0.42)]
    return pd.DataFrame(rows, columns=["language", "method", "value"])


def test_dot_interval_summarises_runs():
    fig, ax = plots.figure()
    found = plots.dot_interval(ax, runs(), baseline=0.2, printed={"de": 0.6, "xx": 0.1})
    first = found.set_index(["language", "method"]).loc[("de", "otc")]
    assert first["mean"] == pytest.approx(0.52) and first["n"] == 2
    assert first["high"] - first["mean"] == pytest.approx(12.706 * 0.02, rel=1e-3)  # t with one degree of freedom
    labels = ax.get_legend_handles_labels()[1]
    assert {"otc (n = 2)", "ce (n = 1)", "majority (0.20)", "printed in the paper"} == set(labels)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["German", "Japanese"]
    plt.close(fig)


def test_dot_interval_takes_a_summary_and_needs_its_columns():
    fig, ax = plots.figure()
    ready = pd.DataFrame([("all", "OTC", 0.01, -0.01, 0.03, 5)], columns=["row", "method", "mean", "low", "high", "n"])
    assert len(plots.dot_interval(ax, ready, row="row", baseline=0.0)) == 1
    assert "no difference" in ax.get_legend_handles_labels()[1]
    with pytest.raises(InputError, match="no column 'method'"):
        plots.dot_interval(ax, runs().drop(columns="method"))
    with pytest.raises(InputError, match="no rows"):
        plots.dot_interval(ax, runs().head(0))
    plt.close(fig)


def test_bars_that_are_no_interval_are_named_so():
    frame = pd.DataFrame([("x", "a", 0.1, -0.2, 0.3, 4)], columns=["language", "method", "mean", "low", "high", "n"])
    labels = {}
    for bars in ({}, {"bars": "range of cells"}):
        fig, ax = plots.figure()
        plots.dot_interval(ax, frame, label="change", **bars)
        labels[bool(bars)] = ax.get_xlabel()
        plt.close(fig)
    assert labels == {False: "change, mean and 95 % CI", True: "change, mean and range of cells"}


def test_heatmap_writes_every_cell():
    fig, axes = plots.figure(columns=2)
    matrix = pd.DataFrame([[0.5, 0.25], [0.75, 1.0]], ["en", "de"], ["en", "de"])
    plots.heatmap(axes[0], matrix)
    plots.heatmap(axes[1], matrix - 0.6, centre=0)
    assert [text.get_text() for text in axes[0].texts] == ["0.50", "0.25", "0.75", "1.00"]
    assert axes[0].get_ylabel() == "trained on" and axes[0].get_xlabel() == "tested on"
    with pytest.raises(InputError, match="no cells"):
        plots.heatmap(axes[0], matrix.iloc[:0])
    plt.close(fig)


def test_table_is_accessible_and_stamped(shown):
    frame = pd.DataFrame({"who": ["a<b", "c"], "f1": [0.51234, np.nan], "n": [3, 4]})
    plots.table(frame, "Scores & counts", "smoke")
    page = shown[0]["text/html"]
    assert "<caption>Smoke run, not a result. Scores &amp; counts</caption>" in page
    assert page.count('<th scope="col"') == 3 and '<th scope="row">a&lt;b</th>' in page
    assert ">0.512<" in page and ">–<" in page and ">4<" in page
    with pytest.raises(InputError, match="caption"):
        plots.table(frame, "", "mini")


def test_table_with_an_index(shown):
    frame = pd.DataFrame({"de": [1]}, index=pd.Index(["en"], name="train"))
    plots.table(frame, "Counts", "mini", index=True)
    page = shown[0]["text/html"]
    assert '<th scope="col">train</th><th scope="col" class="xlt-number">de</th>' in page
    assert "smoke" not in page.lower()


def test_large_whole_numbers_have_separators_and_years_have_none(shown):
    plots.table(pd.DataFrame({"who": ["a", "b"], "tokens": [2998402, 2024]}), "Counts", "mini")
    assert ">2,998,402<" in shown[0]["text/html"] and ">2024<" in shown[0]["text/html"]


def test_a_small_p_is_a_bound_and_no_zero(shown):
    plots.table(pd.DataFrame({"who": ["a", "b"], "gain": [0.00004, 0.5], "p": [0.00004, 0.0449]}), "Tests", "mini")
    page = shown[0]["text/html"]
    assert ">0.000<" in page and ">&lt;\u00a00.001<" in page and ">0.045<" in page


def test_an_n_that_all_means_share_is_told_once(shown):
    frame = pd.DataFrame({"task": ["a", "b"], "x": ["0.1 [0.0, 0.2], n = 5", "-0.3 [-0.4, -0.2], n = 5"], "n": [1, 2]})
    plots.table(frame, "Means", "mini")
    page, plain = shown[0]["text/html"], shown[0]["text/plain"]
    assert "<caption>Means; n = 5 in every cell with an interval</caption>" in page
    assert "<td>0.1 [0.0,\u00a00.2]</td>" in page and "<td>-0.3 [-0.4,\u00a0-0.2]</td>" in page
    assert "n = 5 in every cell" in plain and plain.count("n = 5") == 1
    frame.loc[1, "x"] = "-0.3 [-0.4, -0.2], n = 4"
    plots.table(frame, "Means", "mini")
    assert "<caption>Means</caption>" in shown[1]["text/html"] and "n\u00a0=\u00a04" in shown[1]["text/html"]
    assert 'class="xlt-table"' in page
    plots.table(frame.assign(a=1, b=2, c=3), "A wide one", "mini")
    assert 'class="xlt-table xlt-wide"' in shown.pop()["text/html"]
    plots.table(frame.head(1), "One mean", "mini")
    assert "0.2], n\u00a0=\u00a05" in shown[2]["text/html"]


RUNS = pd.DataFrame({"weight": [None, None, 0.4, 0.4], "metric": "accuracy", "value": [0.50, 0.52, 0.60, 0.61]})


def test_a_condition_without_a_key_is_drawn():
    _, ax = plots.figure()
    found = plots.dot_interval(ax, RUNS, row="metric", group="weight")
    assert found["weight"].tolist() == ["none", 0.4] and found["mean"].tolist() == pytest.approx([0.51, 0.605])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["none (n = 2)", "0.4 (n = 2)"]
    _, ax = plots.figure()
    again = plots.dot_interval(ax, found.assign(weight=[None, 0.4]), row="metric", group="weight")
    pd.testing.assert_frame_equal(found, again, check_dtype=False)
    _, ax = plots.figure()
    assert plots.dot_interval(ax, RUNS, row="weight", group="metric")["weight"].tolist() == ["none", 0.4]
    plt.close("all")


def test_two_lines_of_one_row_and_group_are_refused():
    _, ax = plots.figure()
    found = plots.dot_interval(ax, RUNS, row="metric", group="weight")
    with pytest.raises(InputError, match=r"two lines for {'metric': 'accuracy', 'weight': 'none'}"):
        plots.dot_interval(ax, pd.concat([found, found]), row="metric", group="weight")
    plt.close("all")
