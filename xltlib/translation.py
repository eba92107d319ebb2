"""Translation: EasyNMT in front, engines behind it (`xltlib.engines`, `xltlib.apertium`), a memory, signatures, counts.

Whatever the order, the duplicates and the batch size of the texts, a text has one translation: texts are deduplicated,
sorted, translated in chunks through EasyNMT without sentence splitting, and each chunk is in the memory before the next
one starts.
"""

import json
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from xltlib.degenerate import Counts, degenerate
from xltlib.engines import OPTIONS, VERSION, CTranslate2, Engine, HuggingFace
from xltlib.errors import InputError
from xltlib.languages import language
from xltlib.memory import Translation, TranslationMemory, key
from xltlib.scales import BUILD
from xltlib.translation_models import file_name

__all__ = ["Counts", "Translator", "bleu", "check_canary", "degenerate", "translator", "write_canary"]

ENGINES = ("ctranslate2", "huggingface", "apertium")
CHUNK = 512


def translator(
    name: str = "ctranslate2", model: str | Path = "mini-m2m", *, beam: int = 5, compute_type: str = "int8",
    max_length: int = 128, memory: Path | None = BUILD / "memory", threads: int = 1, batch_size: int = 16,
    revision: str | None = None, device: str = "cpu", **options,
) -> "Translator":  # fmt: skip
    """A translator: an engine's name, and a checkpoint (a shipped name, a folder, or owner/name of the hub, pinned).

    Lengths are in tokens. `compute_type` and `threads` are CTranslate2's, `batch_size` Hugging Face's; `memory=None`
    keeps none. `options` are length_penalty, repetition_penalty, no_repeat_ngram_size. Nothing is loaded before the
    first new sentence.
    InputError for an unknown engine, option, model, or a hub out of reach.
    """
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise InputError(f"unknown translation option {unknown[0]!r}: use one of {', '.join(OPTIONS)}")
    if name == "ctranslate2":
        engine: Engine = CTranslate2(model, max_length, revision, compute_type, threads)
    elif name == "huggingface":
        engine = HuggingFace(model, max_length, revision, batch_size)
    elif name == "apertium":
        from xltlib.apertium import Apertium

        engine, beam, options = Apertium(), 1, {}
    else:
        raise InputError(f"unknown translation engine {name!r}: use one of {', '.join(ENGINES)}")
    return Translator(engine, beam=beam, options=options, memory=memory, device=device)


class _Checked:
    """The engine as EasyNMT sees it. EasyNMT drops a spare output as it restores the order: hence the check here."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def translate_sentences(self, sentences: list[str], **arguments) -> list[str]:
        outputs = self.engine.translate_sentences(sentences, **arguments)
        if len(outputs) != len(sentences):
            raise RuntimeError(f"engine {self.engine.name}: {len(outputs)} outputs for {len(sentences)} sentences")
        return outputs


class Translator:
    """An engine behind EasyNMT, with its memory. `counts` holds a `Counts` a language pair, over all calls."""

    def __init__(
        self, engine: Engine, *, beam: int = 5, options: Mapping | None = None, memory: Path | None = None,
        device: str = "cpu", chunk: int = CHUNK,
    ):  # fmt: skip
        if beam < 1:
            raise InputError(f"beam={beam}: use 1 (greedy) or more")
        self.engine, self.beam, self.options, self.memory = engine, beam, dict(options or {}), memory
        self.device, self.chunk, self._easynmt = device, chunk, None
        self.counts: dict[tuple[str, str], Counts] = {}

    def signature(self, source: str, target: str) -> str:
        """What made a translation, in one line that travels with it."""
        parts = {"src": source, "tgt": target, "engine": f"easynmt-{self.engine.name}"}
        parts |= {"model": self.engine.model_for(source, target), "beam": self.beam, "split": "none"}
        if hasattr(self.engine, "max_length"):
            parts["max"] = self.engine.max_length
        parts |= self.options | {"lib": self.engine.version, "v": VERSION}
        return "|".join(f"{name}:{value}" for name, value in parts.items())

    def fingerprint(self, source: str, target: str) -> str:
        """The engine's side: weights, tokenizer, version, compute type, maximum length; or rules and route."""
        return self.engine.fingerprint(source, target)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Translations in the texts' order; a blank text gives "", the same language gives the texts themselves.

        InputError for a language that the engine does not know and for a text that is no string.
        """
        texts = _strings(texts)
        if source == target:
            return texts
        self.engine.check(source, target)
        texts = [unicodedata.normalize("NFC", text) for text in texts]
        found = self._translations({text for text in texts if text.strip()}, source, target)
        counts = self.counts.setdefault((source, target), Counts())
        for text in texts:
            if text.strip():
                counts.add(found[text].kinds)
        return [found[text].text if text.strip() else "" for text in texts]

    def _translations(self, texts: set[str], source: str, target: str) -> dict[str, Translation]:
        """From the memory, or new ones, chunk by chunk; each chunk is stored before the next."""
        order = sorted(texts, key=lambda text: (-len(text), text))
        if self.memory is None:
            return self._new(order, source, target)
        fingerprint = self.fingerprint(source, target)
        store = TranslationMemory(Path(self.memory) / f"{file_name(fingerprint)}.sqlite")
        keys = {text: key(fingerprint, source, target, self.beam, self.options, text) for text in order}
        stored = store.get(keys.values())
        found = {text: stored[keys[text]] for text in order if keys[text] in stored}
        missing = [text for text in order if text not in found]
        return found | self._new(missing, source, target, lambda chunk: store.put({keys[t]: chunk[t] for t in chunk}))

    def _new(self, texts: list[str], source: str, target: str, after=lambda chunk: None) -> dict[str, Translation]:
        found: dict[str, Translation] = {}
        with tqdm(total=len(texts), desc=f"{source}-{target}", leave=False, disable=None if texts else True) as bar:
            for i in range(0, len(texts), self.chunk):
                chunk = self.fresh(texts[i : i + self.chunk], source, target)
                after(chunk)
                found |= chunk
                bar.update(len(chunk))
        return found

    def fresh(self, texts: list[str], source: str, target: str) -> dict[str, Translation]:
        """Different, non-blank NFC texts through EasyNMT and the engine, past the memory."""
        if self._easynmt is None:
            self._easynmt = _easynmt(_Checked(self.engine), self.device)
        self.engine.cut.clear()
        outputs = self._easynmt.translate(
            list(texts), source_lang=source, target_lang=target, beam_size=self.beam, batch_size=self.engine.batch_size,
            perform_sentence_splitting=False, **self.options,
        )  # fmt: skip
        pairs, cut = zip(texts, outputs, strict=True), self.engine.cut
        return {text: Translation(output, degenerate(text, output, text in cut)) for text, output in pairs}


def _easynmt(engine, device: str):
    with warnings.catch_warnings():  # EasyNMT's sources hold invalid escapes, which warn when first compiled
        warnings.simplefilter("ignore")
        from easynmt import EasyNMT
    return EasyNMT(translator=engine, device=device)


def _strings(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InputError("texts must be a list of strings, not one string: put it in a list")
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {i} is {text!r}, no string: fill or drop missing values before translating")
    return texts


def write_canary(path: Path, translator: Translator, texts: Iterable[tuple[str, str, str]]) -> None:
    """Store translations of (source, target, text) beside a checkpoint, to notice when they come out otherwise."""
    rows = []
    for source, target, text in texts:
        output = translator.fresh([unicodedata.normalize("NFC", text)], source, target)
        rows.append({"source": source, "target": target, "text": text, "output": next(iter(output.values())).text})
    engine = translator.engine
    facts = {"engine": engine.name, "lib": engine.version, "beam": translator.beam, "sentences": rows}
    Path(path).write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def check_canary(path: Path, translator: Translator) -> list[str]:
    """One line for each stored sentence that this machine translates otherwise, past the memory.

    int8 arithmetic may differ between kinds of processors in a sentence or two. InputError when more than half differ,
    or when there is no canary.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no canary; write one with xltlib.translation.write_canary")
    rows = json.loads(path.read_text(encoding="utf-8"))["sentences"]
    lines = []
    for row in rows:
        text = unicodedata.normalize("NFC", row["text"])
        output = translator.fresh([text], row["source"], row["target"])[text].text
        if output != row["output"]:
            lines.append(f"{row['source']}-{row['target']} {text!r}: {output!r}, not {row['output']!r}")
    if len(lines) > len(rows) / 2:
        raise InputError(f"{path}: {len(lines)} of {len(rows)} canary sentences come out otherwise, as in {lines[0]}")
    return lines


def bleu(outputs: Sequence[str], references: Sequence[str], target: str) -> tuple[float, str]:
    """(corpus BLEU, 0-100, and its signature) by sacreBLEU (Post 2018) with the tokenizer of the target language."""
    from sacrebleu.metrics import BLEU

    if len(outputs) != len(references) or not outputs:
        found = f"{len(outputs)} outputs, {len(references)} references"
        raise InputError(f"BLEU needs as many references as outputs, at least one: {found}")
    metric = BLEU(tokenize=language(target).bleu_tokenizer)
    score = metric.corpus_score(list(outputs), [list(references)])
    return score.score, str(metric.get_signature())
