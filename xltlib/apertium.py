"""Apertium, a rule-based translator, as an optional engine: a process per batch, fed with NUL flushing.

Forcada et al. (2011), "Apertium: a free/open-source platform for rule-based machine translation". It is under the GPL,
so it stays a process. Pairs without rules of their own go through Spanish.
"""

import re
import shutil
import subprocess
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path

from xltlib.engines import VERSION, Engine
from xltlib.errors import InputError

CODES = {"en": "eng", "es": "spa", "fr": "fra", "it": "ita", "pt": "por", "ca": "cat"}
PACKAGES = "apertium apertium-eng-spa apertium-fr-es apertium-spa-ita apertium-es-pt"
PIVOT = "es"
END = "[][\n]"
"""Ends each sentence, after a full stop: an empty superblank and a line break that no rule moves words over."""
SECONDS = 120  # and half a second a sentence
WARM_UP = {
    "en": ("I bought it last week and I like it.", "It does not work.", "There are a lot of them."),
    "es": ("Lo compré la semana pasada y me gusta.", "No funciona.", "Es cierto, por supuesto."),
    "fr": ("Je l'ai acheté la semaine dernière et il me plaît.", "Il ne marche pas.", "C'est certain, bien sûr."),
}
"""Every batch starts with these. The tagger changes for good at the first word with a set of readings that is not in
its model ("a lot of", "cierto,"): with such a word in front, no later sentence changes another."""
PROTECTED = re.compile(r"@\w+|https?://\S+")
RESERVED = re.compile(r"[\[\]{}$/<>@\\]")
SPACED = re.compile(r"\s+([.,;!?])")
REMOVED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029^~]")
"""Controls and line breaks; `^` starts a word in the stream (the programs hang), `~` is an order to the last one."""


def escape(text: str) -> str:
    """A sentence in Apertium's stream format: reserved characters escaped, @names and links in superblanks."""
    text = REMOVED.sub(" ", text)
    parts, last = [], 0
    for match in PROTECTED.finditer(text):
        parts += [_backslashes(text[last : match.start()]), f"[{_backslashes(match.group())}]"]
        last = match.end()
    return "".join([*parts, _backslashes(text[last:])])


def _backslashes(text: str) -> str:
    return RESERVED.sub(lambda match: "\\" + match.group(), text)


def stop(row: str) -> str:
    """The full stop that an escaped sentence lacks, or nothing."""
    return "" if row.rstrip().endswith((".", "!", "?", "…")) else "."


def unescape(output: str, row: str) -> str:
    """The inverse for the output of an escaped row: without its end mark, the added stop, spare blanks."""
    text = output.replace(END, "").rstrip().removesuffix(stop(row))
    text = " ".join(re.sub(r"\\(.)|[\[\]]", lambda match: match.group(1) or "", text).split())
    return text if SPACED.search(row) else SPACED.sub(r"\1", text)  # rules that swap words leave "malo ."


class Apertium(Engine):
    """Batches for one process a leg of the route. Beam and options mean nothing to it."""

    name = "apertium"

    def __init__(self, modes: Path | None = None):
        super().__init__()
        program = shutil.which("apertium-wblank-mode")
        if modes is None and program is None:
            raise InputError(f"Apertium is not installed: apt-get install {PACKAGES}")
        self.modes = modes or Path(program).resolve().parent.parent / "share/apertium/modes"
        self.model, self.version = "apertium", _version()

    def route(self, source: str, target: str) -> tuple[Path, ...]:
        """The mode files of a translation: one when there are rules for the pair, else two, through Spanish."""
        direct = self._mode(source, target)
        if direct:
            return (direct,)
        legs = self._mode(source, PIVOT), self._mode(PIVOT, target)
        if all(legs) and PIVOT not in (source, target):
            return legs
        pair = f"from {source!r} to {target!r}"
        raise InputError(f"Apertium has no rules {pair} here: install them, as in apt-get install {PACKAGES}")

    def _mode(self, source: str, target: str) -> Path | None:
        names = product((source, CODES.get(source, source)), (target, CODES.get(target, target)))
        return next((path for a, b in names if (path := self.modes / f"{a}-{b}.mode").exists()), None)

    def check(self, source: str, target: str) -> None:
        self.route(source, target)

    def model_for(self, source: str, target: str) -> str:
        """Route and hash of the rules, as in en-es+es-fr@3f2a9c11."""
        route = self.route(source, target)
        return "+".join(path.stem for path in route) + f"@{_rules_hash(route)}"

    def fingerprint(self, source: str, target: str) -> str:
        return f"{self.model_for(source, target)}|apertium-{self.version}|v:{VERSION}"

    def translate_sentences(
        self, sentences: list[str], source_lang: str, target_lang: str, device="cpu", beam_size=1, **options
    ) -> list[str]:
        for path in self.route(source_lang, target_lang):
            sentences = self._leg(path, sentences)
        return sentences

    def _leg(self, mode: Path, sentences: list[str]) -> list[str]:
        warm_up = next((list(WARM_UP[code]) for code in WARM_UP if mode.stem.split("-")[0] in (code, CODES[code])), [])
        rows = [escape(text) for text in warm_up + sentences]
        outputs = run(mode, "".join(f"{row}{stop(row)}{END}\0" for row in rows), SECONDS + len(rows) / 2).split("\0")
        done = next((i for i, output in enumerate(outputs) if "[\n]" not in output), len(outputs))
        if done != len(rows) or any(output.strip() for output in outputs[done:]):
            near = rows[min(done, len(rows) - 1)]
            raise RuntimeError(
                f"Apertium ({mode.stem}): {done} outputs for {len(rows)} sentences; it stopped near {near!r}"
            )
        done = zip(rows, outputs[: len(rows)], strict=True)
        return [unescape(output, row) for row, output in done][len(warm_up) :]


@cache
def _pipeline(mode: Path) -> str:
    """The mode's programs as a shell line, each flushing at NUL."""
    return subprocess.run(["apertium-wblank-mode", "-z", str(mode)], capture_output=True, text=True, check=True).stdout


def run(mode: Path, stream: str, seconds: float = SECONDS) -> str:
    """The stream after all programs of a mode; -n leaves unknown words without marks."""
    command = ["bash", "-c", _pipeline(mode), "apertium", "-n", ""]
    try:
        result = subprocess.run(command, input=stream.encode(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"Apertium ({mode.stem}) did not finish within {seconds:.0f} s") from None
    return result.stdout.decode(errors="replace")


def _version() -> str:
    """Versions of Apertium and of lttoolbox, joined by a hyphen."""
    return "-".join(_shown_version(*command) for command in (("apertium", "-V"), ("lt-proc", "-v")))


def _shown_version(program: str, option: str) -> str:
    if shutil.which(program) is None:
        return "none"
    found = re.search(r"\d+\.[\d.]+", subprocess.run([program, option], capture_output=True, text=True).stdout)
    return found.group() if found else "unknown"


@cache
def _rules_hash(route: tuple[Path, ...]) -> str:
    """8 hex digits over the mode files and the rules and dictionaries that they name."""
    digest = sha256()
    for path in route:
        text = path.read_text()
        digest.update(text.encode())
        for file in sorted(set(re.findall(r"'(/[^']+)'", text))):
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:8]
