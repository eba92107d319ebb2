"""Interactive figures: whole pages inside the page, safe with any text, with a title for screen readers."""

import html
import re

import pandas as pd
import pytest

from xltlib import interactive, plots
from xltlib.errors import InputError

NAMES = {"blue": "right, stays right", "green": "wrong, repaired"}
NASTY = 'a text with </script><script>alert("x")</script> & <!-- a comment'


def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [0.1, 0.9], "y": [0.8, 0.7], "class": ["green", "blue"], "text": [NASTY, "例え"]})


@pytest.fixture(scope="module")
def page() -> str:
    return interactive.page(interactive.probability_scatter(frame(), "x", "y", ["text"], NAMES))


def test_the_page_asks_no_other_site_and_keeps_its_scripts_whole(page):
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"']?(https?:)?//", page)
    data = page[page.rindex("<div id=") :]
    assert data.count("</script>") == 1 and "alert" in data and "<!--" not in data
    assert "例え" in data or "\\u4f8b" in data


def test_the_figure_has_a_title_its_provenance_and_the_page_as_text():
    shown = interactive._figure("<p>a & b</p>", 'Points of "two" classes', "Scale mini.", 600)
    assert 'title="Points of &quot;two&quot; classes"' in shown and "Scale mini." in shown
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == "<p>a & b</p>"


def test_at_smoke_the_figure_says_so(monkeypatch):
    pages = []
    monkeypatch.setattr(interactive, "display", lambda data, raw: pages.append(data))
    monkeypatch.setattr(interactive, "page", lambda chart: str(chart.to_dict().get("title")))
    chart = interactive.probability_scatter(frame(), "x", "y", ["text"], NAMES)
    interactive.show(chart, "Two made-up points only.", "04_x", scale="smoke")
    assert pages[0]["text/html"].count("Smoke run, not a result") >= 3  # in the title, the caption and the chart
    with pytest.raises(InputError, match="too short"):
        interactive.show(chart, "Points", "04_x", scale="mini")


def test_the_static_twin_tells_the_shares():
    fig, ax = plots.figure(4, 4)
    told = interactive.static_scatter(ax, frame(), NAMES)
    assert told == "right, stays right 50.0%, wrong, repaired 50.0%"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"{name} (1)" for name in NAMES.values()]
    plots.plt.close(fig)
