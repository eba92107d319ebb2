"""Checks of built HTML pages: every figure has an alt text, and no page asks another site for anything.

Looked at, in pages and in the pages inside them (`srcdoc` of an <iframe>, and data: addresses, however deep):

- attributes that a browser fetches (FETCHED: <script src>, <link href>, <object data>, <video poster>, <base href>,
  SVG's <use href>), `srcset`, `imagesrcset`, a refresh by <meta>, and `data-*`, as scripts load from it later;
- `url()` and `@import` in style sheets, <style> and attributes;
- in scripts and `on...` attributes: `import`, `importScripts`, `fetch`, workers and sockets with an address in
  quotation marks, import maps, and the "url" of a chart's data.

Links for readers (<a href>) may lead anywhere. Not seen: an address that a script puts together.
"""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

from xltlib.errors import InputError

FETCHED = ("src", "href", "xlink:href", "data", "poster", "background", "codebase", "archive", "manifest", "ping")
READERS = ("a", "area")
"""Elements whose address a browser asks for only when a reader follows it."""
_FILE = re.compile(r"\.(png|jpe?g|svg|gif|webp)$", re.IGNORECASE)
_ADDRESS = r"(?:(?:https?|wss?|ftp):|//|\\\\)"
_OUTSIDE = re.compile(rf"\s*{_ADDRESS}", re.IGNORECASE)
_IN_CSS = re.compile(rf"(?:url\(|@import)\s*[\"']?\s*({_ADDRESS}[^\"')\s;]+)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_REFRESH = re.compile(rf"url\s*=\s*[\"']?\s*({_ADDRESS}[^\"'\s]+)", re.IGNORECASE)
_CALLS = r"\b(?:from|import|importScripts|fetch|Worker|WebSocket|EventSource|sendBeacon)\s*\(?\s*"
_IN_SCRIPT = re.compile(rf"(?:{_CALLS}|[\"']url[\"']\s*:\s*)[\"'`]({_ADDRESS}[^\"'`\s]+)[\"'`]")
_QUOTED = re.compile(rf"[\"']({_ADDRESS}[^\"'\s]+)[\"']")
_DATA = re.compile(r"\s*data:([^,;]*)([^,]*),(.*)", re.DOTALL | re.IGNORECASE)


class _Page(HTMLParser):
    """Collects the images without an alt text and the addresses outside the site."""

    def __init__(self) -> None:
        super().__init__()
        self.nameless: list[str] = []
        self.outside: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {key: value or "" for key, value in attrs}
        self._inside = "importmap" if got.get("type", "").lower() == "importmap" else tag
        if tag == "img" and is_nameless(got.get("alt"), got.get("src", "")):
            self.nameless.append(_short(got.get("src", "")))
        if tag == "link" and got.get("rel") == "canonical":
            return
        found = _addresses(tag, got)
        self.outside += [address for address in found if _OUTSIDE.match(address)]
        self.outside += [address for value in got.values() for address in in_css(value)]
        for address in found:
            self._add(*_data(address))
        for name, value in got.items():
            self._add("text/javascript" if name.startswith("on") else "", value)
        self._add("text/html", got.get("srcdoc", ""))

    def handle_data(self, data: str) -> None:
        kinds = {"style": "text/css", "script": "text/javascript", "importmap": "importmap"}
        if self._inside in kinds:
            self._add(kinds[self._inside], data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def _add(self, kind: str, text: str) -> None:
        """What a text of a kind asks for, and what is wrong with a page inside the page."""
        if kind in ("text/html", "image/svg+xml", "application/xhtml+xml") and text:
            inner = read(text)
            self.outside += inner.outside
            self.nameless += inner.nameless
        elif kind == "text/css":
            self.outside += in_css(text)
        elif kind.endswith("javascript"):
            self.outside += _IN_SCRIPT.findall(text)
        elif kind == "importmap":
            self.outside += _QUOTED.findall(text)


def read(text: str) -> _Page:
    """A page's findings, those of the pages inside it included."""
    page = _Page()
    page.feed(text)
    page.close()
    return page


def in_css(text: str) -> list[str]:
    """The addresses outside the site that a style sheet or a style asks for."""
    return _IN_CSS.findall(_COMMENT.sub("", text)) if "url(" in text.lower() or "@import" in text.lower() else []


def _data(address: str) -> tuple[str, str]:
    """Type and text of a data: address; nothing of another one, or of a picture of pixels."""
    found = _DATA.match(address)
    if not found or not (found[1].lower().startswith(("text/", "application/")) or "svg" in found[1].lower()):
        return "", ""
    raw = unquote_to_bytes(found[3])
    try:
        raw = base64.b64decode(raw) if "base64" in found[2].lower() else raw
    except ValueError:
        return "", ""
    return found[1].lower(), raw.decode("utf-8", "replace")


def is_nameless(alt: str | None, src: str) -> bool:
    """Whether an image's alt text is missing, empty, or its own file's name (what Sphinx writes when there is none)."""
    text = (alt or "").strip()
    return not text or text == src or (" " not in text and bool(_FILE.search(text)))


def _addresses(tag: str, got: dict[str, str]) -> list[str]:
    """The addresses in an element's attributes that a browser, or a script on the page, asks for."""
    names = ("ping",) if tag in READERS else FETCHED
    found = [value for name, value in got.items() if name in names or name.startswith("data-")]
    for name in ("srcset", "imagesrcset"):
        found += [part.split()[0] for part in got.get(name, "").split(",") if part.strip()]
    if tag == "meta" and got.get("http-equiv", "").lower() == "refresh":
        found += _REFRESH.findall(got.get("content", ""))
    return found


def _short(src: str) -> str:
    return src if len(src) <= 100 else src[:40] + "..."


def problems(root: Path) -> list[str]:
    """What is wrong with the pages and style sheets under `root`, one line each: page, figure or address."""
    found = []
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root).as_posix()
        if name.startswith("_static/"):
            continue
        page = read(path.read_text(encoding="utf-8"))
        found += [f"{name}: figure {src} has no alt text (use xltlib.plots.show)" for src in page.nameless]
        found += [f"{name}: asks another site for {address}" for address in dict.fromkeys(page.outside)]
    for path in sorted(root.rglob("*.css")):
        outside = in_css(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(root).as_posix()}: asks another site for {a}" for a in dict.fromkeys(outside)]
    return found


def check(root: Path) -> None:
    """InputError naming the first problem and how many there are; nothing when the pages are in order."""
    found = problems(root)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(f"the book is not fit to publish: {found[0]}{more}")
