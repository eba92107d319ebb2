"""The built book in a real browser: Debian's Chromium, driven over its DevTools protocol.

The checks run over the small book of small_book.py and, when it is there, over the course's own book.
"""

import functools
import http.server
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import websocket
from small_book import made

from xltlib.scales import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COURSE = ROOT / "book" / "_build" / "html"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1280,1600"),
)
PATIENCE = 120
pytestmark = pytest.mark.skipif(
    not CHROMIUM, reason="no chromium: the book was not checked in a browser (apt-get install chromium)"
)

NAMELESS = """[...document.images].filter(i => !i.alt.trim() || /\\.(png|svg|jpe?g)$/.test(i.alt))
              .map(i => i.src.slice(0, 80))"""
BROKEN = """[...document.images].filter(i => i.getClientRects().length && i.complete && !i.naturalWidth)
            .map(i => i.src.slice(0, 80))"""
FORMULAS = """[document.querySelectorAll('.math').length, document.querySelectorAll('mjx-container mjx-math').length,
              document.querySelectorAll('mjx-merror').length]"""
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = text => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
                         return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => i < 3 ? v : v / 255); };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
                      .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { const layers = [];
    for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
                                     if (c[3]) layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]); };
  const bad = [];
  const article = document.querySelector('article') || document.body;
  for (const e of article.querySelectorAll('p,li,td,th,h1,h2,h3,dt,dd,caption,figcaption,summary,a,code,pre,strong,em,'
                                           + '.highlight span,.xlt-provenance')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(e);
    const hidden = !e.getClientRects().length || style.visibility === 'hidden';
    if (!own || hidden || e.closest('.headerlink,button')) continue;
    const below = ground(e), text = over(rgba(style.color), below);
    const [high, low] = [light(text), light(below)].sort((a, b) => b - a);
    const ratio = (high + .05) / (low + .05);
    if (ratio < 4.5) bad.push(`${e.tagName} "${e.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
  }
  return bad;
})()"""
LIGHTNESS = """(() => { const c = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
                       return (c[0] + c[1] + c[2]) / 3; })()"""

TOO_WIDE = """(() => {
  const wide = [...document.querySelectorAll('.xlt-figure img')].filter(i => i.clientWidth > innerWidth);
  const page = document.documentElement.scrollWidth;
  return page > innerWidth + 1 ? `the page is ${page} pixels wide` : wide.length ? `${wide.length} figures` : '';
})()"""
QUESTIONS = {
    "nameless": NAMELESS,
    "broken": BROKEN,
    "figures": "document.querySelectorAll('.xlt-figure img').length",
    "formulas": FORMULAS,
}


class Browser:
    """One Chromium with one tab. `requests`, `complaints`: what the tab asked for, and what its console said."""

    def __init__(self, profile: str) -> None:
        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.numbers, self.requests, self.complaints = itertools.count(1), [], []
        port, path = self._address(Path(profile) / "DevToolsActivePort")
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _address(self, file: Path) -> list[str]:
        for _ in range(10 * PATIENCE):
            if file.exists() and len(lines := file.read_text().split()) == 2:
                return lines
            assert self.process.poll() is None, f"{CHROMIUM} ended with code {self.process.returncode}"
            time.sleep(0.1)
        raise TimeoutError(f"{CHROMIUM} did not open its DevTools port within {PATIENCE} s")

    def call(self, method: str, **parameters) -> dict:
        """Send one command and wait for its answer; events that come first are noted."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _note(self, event: dict) -> None:
        method, got = event.get("method"), event.get("params", {})
        if method in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            self.requests.append(got["request"]["url"] if "request" in got else got["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(got["exceptionDetails"])[:400])
        elif method == "Runtime.consoleAPICalled" and got["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(got["args"])[:400])
        elif method == "Log.entryAdded" and got["entry"]["level"] == "error":
            self.complaints.append(f"{got['entry']['text']} {got['entry'].get('url', '')}")

    def ask(self, expression: str):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Load a page and wait until it, its fonts and its formulas are ready; notes start afresh."""
        self.requests.clear()
        self.complaints.clear()
        self.show()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && !document.querySelector('meta[http-equiv=refresh]')")
        self.ask("document.fonts.ready.then(() => window.MathJax?.startup?.promise).then(() => true)")

    def show(self, scheme: str = "light", width: int = 1280) -> None:
        """The colour scheme that the reader's system prefers, and the width of the window in CSS pixels."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1600, deviceScaleFactor=1, mobile=False)
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 350)))")  # colours fade over

    def wait(self, condition: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not self.ask(f"Boolean({condition})"):
            assert time.monotonic() < end, f"after {seconds} s still not: {condition}"
            time.sleep(0.05)

    def close(self) -> None:
        self.session = None
        self.call("Browser.close")
        self.socket.close()
        self.process.wait(PATIENCE)


@pytest.fixture(scope="module")
def browser():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        chromium = Browser(profile)
        yield chromium
        chromium.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_) -> None:
        pass


class Site:
    """A built book behind a local address."""

    def __init__(self, root: Path) -> None:
        self.root = root
        handler = functools.partial(Quiet, directory=str(root))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def pages(self) -> list[str]:
        found = sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*.html"))
        return [name for name in found if not name.startswith("_static/")]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module", params=["small book", "course"])
def site(request, tmp_path_factory):
    if request.param == "course" and not (COURSE / "index.html").is_file():
        pytest.skip("the course's book is not built (make book): only the small book was checked in a browser")
    served = Site(COURSE if request.param == "course" else made(tmp_path_factory).html)
    yield served
    served.close()


@pytest.fixture(scope="module")
def visits(browser, site):
    """What was seen on each page, by name; each page is loaded once."""
    return {name: visit(browser, site.address, name) for name in site.pages()}


def visit(browser: Browser, address: str, name: str) -> dict:
    browser.open(address + name)
    seen = {key: browser.ask(question) for key, question in QUESTIONS.items()}
    for scheme in ("light", "dark"):
        browser.show(scheme)
        seen[scheme] = {"lightness": browser.ask(LIGHTNESS), "pale": browser.ask(CONTRAST)}
    browser.show(width=375)
    seen["too wide"] = browser.ask(TOO_WIDE)
    return seen | {"requests": list(browser.requests), "complaints": list(browser.complaints)}


def test_no_request_leaves_the_site_and_the_console_is_silent(site, visits):
    inside = (site.address, "data:", "blob:", "about:")
    for name, seen in visits.items():
        assert [url for url in seen["requests"] if not url.startswith(inside)] == [], name
        assert seen["complaints"] == [], name
        assert site.address + name in seen["requests"], name


def test_every_figure_has_an_alt_text_and_loads(visits):
    for name, seen in visits.items():
        assert seen["nameless"] == [] and seen["broken"] == [], name
    assert sum(seen["figures"] for seen in visits.values()), "no figure in any page"


def test_formulas_are_rendered(visits):
    for name, seen in visits.items():
        written, rendered, wrong = seen["formulas"]
        assert rendered >= written and not wrong, f"{name}: {written} formulas, {rendered} rendered, {wrong} wrong"
    assert sum(seen["formulas"][1] for seen in visits.values()), "no formula in any page"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visits, scheme):
    for name, seen in visits.items():
        lightness = seen[scheme]["lightness"]
        assert (lightness > 200) if scheme == "light" else (lightness < 60), name
        assert seen[scheme]["pale"] == [], f"{name} in {scheme}"


def test_a_phone_scrolls_down_only(visits):
    assert {name: seen["too wide"] for name, seen in visits.items() if seen["too wide"]} == {}


def test_search_finds_a_word(browser, site):
    word = "zanzibarium" if site.root != COURSE else "translationese"
    browser.open(f"{site.address}search.html?q={word}")
    browser.wait("document.querySelector('#search-results li a')")
    assert browser.ask("document.querySelectorAll('#search-results li a').length") >= 1
    assert browser.complaints == []
    browser.open(f"{site.address}search.html?q=xyzzyqwv")
    browser.wait("/did not match/.test(document.querySelector('#search-results').innerText)")
