"""Checks of built HTML pages: every figure has an alt text, and no page asks another site for anything."""

import re
from html.parser import HTMLParser
from pathlib import Path

from xltlib.errors import InputError

_FILE = re.compile(r"\.(png|jpe?g|svg|gif|webp)$", re.IGNORECASE)
_OUTSIDE = re.compile(r"^\s*(https?:|wss?:|//)", re.IGNORECASE)
_IN_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"')\s;]+)", re.IGNORECASE)
_SOURCES = {
    **dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed", "track", "input"), "src"),
    "link": "href",
    "object": "data",
}


class _Page(HTMLParser):
    """Collects the images without an alt text and the addresses outside the site."""

    def __init__(self) -> None:
        super().__init__()
        self.nameless: list[str] = []
        self.outside: list[str] = []
        self._css = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {key: value or "" for key, value in attrs}
        self._css = tag == "style"
        if tag == "img" and is_nameless(got.get("alt"), got.get("src", "")):
            self.nameless.append(_short(got.get("src", "")))
        if tag == "link" and got.get("rel") == "canonical":
            return
        self.outside += [a for a in _addresses(tag, got) if _OUTSIDE.match(a)]
        self.outside += _IN_CSS.findall(got.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self._css:
            self.outside += _IN_CSS.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._css = False


def is_nameless(alt: str | None, src: str) -> bool:
    """Whether an image's alt text is missing, empty, or its own file's name (what Sphinx writes when there is none)."""
    text = (alt or "").strip()
    return not text or text == src or (" " not in text and bool(_FILE.search(text)))


def _addresses(tag: str, got: dict[str, str]) -> list[str]:
    found = [got[_SOURCES[tag]]] if _SOURCES.get(tag) in got else []
    return found + [part.split()[0] for part in got.get("srcset", "").split(",") if part.strip()]


def _short(src: str) -> str:
    return src if len(src) <= 100 else src[:40] + "..."


def problems(root: Path) -> list[str]:
    """What is wrong with the pages and style sheets under `root`, one line each: page, figure or address."""
    found = []
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root).as_posix()
        if name.startswith("_static/"):
            continue
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        page.close()
        found += [f"{name}: figure {src} has no alt text (use xltlib.plots.show)" for src in page.nameless]
        found += [f"{name}: asks another site for {address}" for address in dict.fromkeys(page.outside)]
    for path in sorted((root / "_static").rglob("*.css")):
        outside = _IN_CSS.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(root).as_posix()}: asks another site for {a}" for a in dict.fromkeys(outside)]
    return found


def check(root: Path) -> None:
    """InputError naming the first problem and how many there are; nothing when the pages are in order."""
    found = problems(root)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"the book is not fit to publish: {found[0]}{more}")
