"""The book: executed notebooks in, checked pages out."""

import base64
import html
import re
import shutil

import nbformat
import pytest
import yaml
from small_book import ALT, SECOND, made, notebook, sources

from xltlib import book, executed, pages
from xltlib.errors import InputError
from xltlib.scales import ROOT

CODED = base64.b64encode(b'<link rel="icon" href="https://cdn.example/x.ico">').decode()
ONE = """format: jb-book
root: intro
chapters:
  - file: notebooks/01_small
  - file: glossary
  - file: bibliography
  - file: instructor_guide
  - file: status
"""


@pytest.fixture(scope="module")
def small_book(tmp_path_factory):
    return made(tmp_path_factory)


# What the reader gets -------------------------------------------------------------------------------------------------


def test_alt_text_and_provenance_arrive_in_the_page(small_book):
    page = small_book.page("notebooks/01_small.html")
    assert f'alt="Smoke run, not a result. {ALT}"' in page
    assert "xlt run 01 --scale smoke" in page and "experiment small, 27 runs" in page
    assert "Dots &amp; bars." in page


def test_smoke_is_on_figures_tables_and_status(small_book):
    page = small_book.page("notebooks/01_small.html")
    assert "<caption>Smoke run, not a result. The first runs</caption>" in page
    assert "None of its numbers is a result" in small_book.page("status.html")


def test_one_parameters_cell_and_no_noise(small_book):
    page = small_book.page("notebooks/01_small.html")
    words = re.sub(r"<[^>]+>", "", page)
    assert 'scale = "mini"' in words and 'scale = "smoke"' not in words
    assert "1/20 [00:01" not in words and "overwritten" not in words
    assert re.search(r"<details class=\"xlt-messages\">.*careful.*</details>", page, re.DOTALL)


def test_no_local_paths_and_no_bookkeeping(small_book):
    for path in [*small_book.html.rglob("*.html"), *small_book.html.rglob("*.ipynb"), *small_book.html.rglob("*.txt")]:
        if "_static" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text and str(small_book.folder) not in text, path
            assert "papermill" not in text or path.name in ("status.html", "status.md", "status.md.txt"), path
    assert "xltlib/plots.py" in small_book.page("notebooks/01_small.html")


def test_card_math_links_and_references(small_book):
    page = small_book.page("notebooks/01_small.html")
    assert re.search(r'<div class="xlt-card">\s*<p><strong>You will learn', page)
    assert 'class="math' in page and 'href="../glossary.html"' in page
    assert "King" in small_book.page("bibliography.html") and "zero-shot transfer" in small_book.page("glossary.html")


def test_status_page_names_what_ran(small_book):
    page = re.sub(r"<[^>]+>", " ", small_book.page("status.html"))
    assert re.search(r"01_small\s+smoke\s+\d+ s\s+20\d\d-\d\d-\d\d \d\d:\d\d", page)
    assert re.search(r"\d+ cores", page) and re.search(r"papermill\s+\d", page)


def test_the_status_page_names_each_machine_only_where_they_differ():
    def page(*places):
        found = {f"0{i}": nbformat.v4.new_notebook(metadata={"xltlib": {"machine": p}}) for i, p in enumerate(places)}
        return book.status(found, "mini")

    assert "All ran on one machine: a box." in page("a box", "a box") and "Machine" not in page("a box", "a box")
    both = page("a box", "a laptop")
    assert "| Machine |" in both and "| a laptop |" in both and "one machine" not in both


def test_all_claims_and_corrections_are_pages_and_linked(small_book):
    claims, corrections = small_book.page("claims.html"), small_book.page("corrections.html")
    assert "O03" in claims and "Holm" in claims and claims.count("<table") == 4
    assert "0.009 [0.006, 0.012], n = 10" in claims
    assert "+.0172" in corrections and "O03" in corrections
    assert 'href="corrections.html"' in small_book.page("status.html")


def test_theme_keeps_its_options_and_has_one_header(small_book):
    page = small_book.page("intro.html")
    assert "Search this book..." in page  # Jupyter Book's own option, beside ours
    assert "bd-header-article" in page and '<header class="bd-header' not in page
    assert "tex-chtml.js" in page and (small_book.html / "_static" / "mathjax" / "tex-chtml.js").is_file()


def test_pages_are_in_order(small_book):
    assert pages.problems(small_book.html) == []


# What stops a book ----------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, small_book):
    """The folders of a one-notebook book, with small_book's executed copy in place."""
    folders = sources(tmp_path, ONE)
    for kind in ("notebooks", "executed/smoke"):
        (tmp_path / kind).mkdir(parents=True)
        shutil.copy(small_book.folder / kind / "01_small.ipynb", tmp_path / kind)
    return folders


def build(tmp_path, folders, scale="smoke"):
    return book.build(tmp_path / "executed" / scale, tmp_path / "out", **folders)


def outputs(*found):
    """A cell as a kernel leaves it, with these outputs."""
    return nbformat.v4.new_code_cell("1", execution_count=9, outputs=list(found))


def add(tmp_path, folders, cell):
    """Put a cell at the end of notebook and executed copy."""
    for path in (tmp_path / "notebooks" / "01_small.ipynb", tmp_path / "executed" / "smoke" / "01_small.ipynb"):
        content = nbformat.read(path, as_version=4)
        content.cells.append(cell)
        nbformat.write(content, path)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_a_figure_without_alt_text_fails_the_build_and_leaves_the_old_book(tmp_path, place):
    old = tmp_path / "out" / "html" / "index.html"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    add(tmp_path, place, outputs(nbformat.v4.new_output("display_data", data={"image/png": PIXEL})))
    with pytest.raises(InputError, match=r"notebooks/01_small\.html: figure \.\./_images/\w+\.png has no alt text"):
        build(tmp_path, place)
    assert old.read_text() == "old"


def test_a_warning_fails_the_build(tmp_path, place):
    with (place["book"] / "intro.md").open("a", encoding="utf-8") as file:
        file.write("\nSee {doc}`nowhere`.\n")
    with pytest.raises(InputError, match=r"intro\.md.*unknown document.*nowhere") as caught:
        build(tmp_path, place)
    assert str(tmp_path) not in str(caught.value) and "\n" not in str(caught.value)


def test_a_notebook_that_was_not_executed_at_that_scale(tmp_path, place):
    with pytest.raises(InputError, match="01_small was not executed at scale mini: run `xlt run 01 --scale mini`"):
        build(tmp_path, place, "mini")
    shutil.copytree(tmp_path / "executed" / "smoke", tmp_path / "executed" / "mini")
    with pytest.raises(InputError, match="executed at scale smoke, not mini"):
        build(tmp_path, place, "mini")


def test_code_that_changed_since(tmp_path, place):
    path = tmp_path / "notebooks" / "01_small.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("default_rng(0)", "default_rng(1)"), encoding="utf-8")
    with pytest.raises(InputError, match="code of 01_small has changed since it was executed"):
        build(tmp_path, place)


def test_text_that_changed_since_is_taken_as_it_is_now(tmp_path, place):
    path = tmp_path / "notebooks" / "01_small.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("zanzibarium", "zanzibar"), encoding="utf-8")
    book.stage(tmp_path / "executed" / "smoke", **place)
    staged = nbformat.read(place["staged"] / "notebooks" / "01_small.ipynb", as_version=4)
    assert "*zanzibar*" in staged.cells[0].source
    assert any("text/html" in output.get("data", {}) for output in staged.cells[-1].outputs)


def test_a_notebook_that_did_not_finish(tmp_path, place):
    path = tmp_path / "executed" / "smoke" / "01_small.ipynb"
    content = nbformat.read(path, as_version=4)
    content.cells[-1].execution_count = None
    nbformat.write(content, path)
    with pytest.raises(InputError, match="did not run to its end"):
        build(tmp_path, place)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not a readable notebook"):
        build(tmp_path, place)


def test_a_notebook_that_the_contents_forgot(tmp_path, place):
    nbformat.write(notebook(SECOND), tmp_path / "notebooks" / "02_second.ipynb")
    with pytest.raises(InputError, match=r"02_second is not in book/_toc\.yml"):
        build(tmp_path, place)


# The pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        '<img src="a.png">',
        '<img src="a.png" alt="">',
        '<img src="_images/a.png" alt="_images/a.png">',
        '<img src="data:image/png;base64,AAAA" alt="../_images/b.png"/>',
    ],
)
def test_nameless_figures_are_found(tmp_path, page):
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.html: figure .* has no alt text"):
        pages.check(tmp_path)


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example/x.css">',
        '<link rel="preconnect" href="https://cdn.example">',
        '<img alt="a picture" src="http://cdn.example/a.png">',
        '<img alt="a picture" src="a.png" srcset="https://cdn.example/b.png 2x">',
        "<style>@import 'https://cdn.example/x.css';</style>",
        "<p style=\"background: url('https://cdn.example/x.png')\">",
        '<iframe src="https://cdn.example"></iframe>',
        '<object data="https://cdn.example/a.svg"></object>',
        '<video poster="//cdn.example/a.png"></video>',
        '<link rel="preload" as="image" href="a.png" imagesrcset="a.png, https://cdn.example/b.png 2x">',
        '<base href="https://cdn.example/">',
        '<svg><use href="https://cdn.example/a.svg#b"></use></svg>',
        '<svg><image xlink:href="https://cdn.example/a.png"/></svg>',
        '<svg><rect fill="url(https://cdn.example/a.svg#b)"/></svg>',
        '<body background="https://cdn.example/a.png">',
        '<a href="b.html" ping="https://cdn.example/count">b</a>',
        '<div data-src="https://cdn.example/a.png"></div>',
        '<meta http-equiv="refresh" content="0; url=https://cdn.example">',
        '<style>@import/* x */url("//cdn.example/x.css");</style>',
        "<script type=module>import {a} from 'https://cdn.example/a.js'; a()</script>",
        '<script type="module">import"https://cdn.example/a.js"</script>',
        '<script>import("https://cdn.example/a.js").then(run)</script>',
        "<script>fetch(`https://cdn.example/a.json`)</script>",
        '<script>new WebSocket("wss://cdn.example")</script>',
        '<script type="importmap">{"imports": {"vega": "https://cdn.example/vega.js"}}</script>',
        '<script>embed({"data": {"url": "https://cdn.example/a.csv"}})</script>',
        "<img alt='a picture' src='a.png' onerror=\"fetch('https://cdn.example')\">",
        "<iframe src='data:text/html,<script src=%22https://cdn.example/x.js%22></script>'></iframe>",
        f'<iframe src="data:text/html;base64,{CODED}"></iframe>',
    ],
)
def test_requests_to_other_sites_are_found(tmp_path, page):
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.html: asks another site for \S*//cdn\.example"):
        pages.check(tmp_path)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pages_inside_pages_are_read(tmp_path, depth):
    page = '<p>one</p><script src="https://cdn.example/x.js"></script><img src="a.png">'
    for _ in range(depth):
        page = f'<iframe title="a chart" srcdoc="{html.escape(page)}"></iframe>'
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    named, asked = pages.problems(tmp_path)
    assert named.startswith("a.html: figure a.png has no alt text")
    assert asked == "a.html: asks another site for https://cdn.example/x.js"


def test_what_asks_nobody_passes(tmp_path):
    """Words about addresses, a reader's links and forms, and pictures inside the page."""
    inner = html.escape(
        '<a href="https://example.org">x</a><script>var s = {"$schema": "https://x.example/v6"}</script>'
    )
    page = (
        '<p>url(https://a.example) and import "https://b.example"</p><meta property="og:url" content="https://c.example">'
        f'<iframe title="a chart" srcdoc="{inner}"></iframe><img alt="a dot" src="data:image/png;base64,//https://AAAA">'
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"></use></svg><script>// from https://d.example\n</script>'
    )
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    assert pages.problems(tmp_path) == []


def test_plain_links_and_described_figures_pass(tmp_path):
    page = '<a href="https://example.org">x</a><img src="a.png" alt="a dot"><link rel="canonical" href="https://b.c">'
    (tmp_path / "a.html").write_text(page, encoding="utf-8")
    pages.check(tmp_path)
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "x.css").write_text("@font-face{src:url(https://fonts.example/a.woff)}")
    with pytest.raises(InputError, match=r"_static/x\.css: asks another site for https://fonts"):
        pages.check(tmp_path)


def test_paths_are_stripped_but_pictures_are_not():
    picture = "data:image/png;base64,iVBOR/root/AAAA" + "/a" * 50_000
    assert executed.without_paths(f"{ROOT}/data/x.csv:3 and {picture}") == f"data/x.csv:3 and {picture}"
    assert executed.without_paths(f"in {ROOT}, {ROOT}-old") == f"in ., {ROOT}-old"
    assert executed.without_paths("/tmp/ipykernel_12/34.py:1: UserWarning") == "cell:1: UserWarning"


NO_WIDGETS = """x/tqdm/auto.py:21: TqdmWarning: IProgress not found. Please update jupyter and ipywidgets.
  from .autonotebook import tqdm as notebook_tqdm
"""


def test_widgets_go_and_streams_settle():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "bar"}
    found = [
        nbformat.v4.new_output("display_data", data=view),
        nbformat.v4.new_output("stream", name="stdout", text="1\r2\r3\n"),
        nbformat.v4.new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m\n"),
        nbformat.v4.new_output("stream", name="stderr", text="50%|##  | 1/2 [00:01]\n"),
        nbformat.v4.new_output("stream", name="stderr", text=NO_WIDGETS),
    ]
    content = notebook()
    content.metadata["widgets"] = {"state": {}}
    content.cells.append(outputs(*found))
    clean = executed.clean(content)
    assert [(o.name, o.text) for o in clean.cells[-1].outputs] == [("stdout", "3\nred\n")]
    assert set(clean.metadata) == {"kernelspec"}


def test_the_contents_hold_every_notebook_of_the_course():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    entries = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    course = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert course <= set(entries)
    assert len(entries) == len(set(entries))


def test_the_glossary_has_its_terms():
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^([A-Za-z0-9][^\n]*)\n  \S", text, re.MULTILINE)
    wanted = {"zero-shot transfer", "translate-train", "translationese", "InfoNCE", "OTC", "SupCon", "F1-micro", "BLEU"}
    assert len(terms) >= 25 and wanted <= set(terms)


def test_papermill_really_ran_the_small_notebook(small_book):
    copy = nbformat.read(small_book.executed / "01_small.ipynb", as_version=4)
    assert copy.metadata["papermill"]["parameters"]["scale"] == "smoke"
    assert executed.with_present_text(copy, small_book.folder / "notebooks" / "01_small.ipynb")
