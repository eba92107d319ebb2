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

from xltlib.degenerate import Counts, blank, degenerate, translatable
from xltlib.devices import device_parts
from xltlib.engines import LEGEND, OPTIONS, VERSION, AutoModel, CTranslate2, Engine, HuggingFace
from xltlib.errors import InputError, choice, strings
from xltlib.languages import language
from xltlib.memory import Translation, TranslationMemory, key
from xltlib.scales import BUILD
from xltlib.translation_models import file_name

__all__ = [
    "COMPARABLE",
    "LEGEND",
    "Counts",
    "Translator",
    "bleu",
    "check_canary",
    "degenerate",
    "translator",
    "write_canary",
]

ENGINES = ("ctranslate2", "huggingface", "easynmt", "apertium")
CHUNK = 512
LONGEST = 128
"""Tokens of an output, where nobody says another number."""


def translator(
    name: str = "ctranslate2", model: str | Path = "mini-m2m", *, beam: int = 5, compute_type: str = "int8",
    max_length: int | None = None, memory: Path | None = BUILD / "memory", threads: int = 1, batch_size: int = 16,
    revision: str | None = None, device: str = "cpu", **options,
) -> "Translator":  # fmt: skip
    """A translator: an engine's name, and a checkpoint (a shipped name, a folder, or owner/name of the hub, pinned).

    The engine "easynmt" is EasyNMT with its own defaults; `LEGEND` says what "huggingface" and "ctranslate2" do
    otherwise. Lengths are in tokens; None is LONGEST, for "easynmt" what the checkpoint says. `compute_type` and
    `threads` are CTranslate2's, `batch_size` the other two's; `memory=None` keeps none. `device`: cpu, cuda or cuda:1.
    `options` are length_penalty, repetition_penalty, no_repeat_ngram_size. Nothing is loaded before the first new
    sentence.
    InputError for an unknown engine, option, model or device, a length for "easynmt", or a hub out of reach.
    """
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise InputError(f"unknown translation option {unknown[0]!r}: use one of {', '.join(OPTIONS)}")
    choice(name, ENGINES, "translation engine")
    longest = LONGEST if max_length is None else max_length
    if name == "ctranslate2":
        engine: Engine = CTranslate2(model, longest, revision, compute_type, threads)
    elif name == "huggingface":
        engine = HuggingFace(model, longest, revision, batch_size)
    elif name == "easynmt":
        if max_length is not None:
            raise InputError(f"max_length={max_length}: easynmt takes the checkpoint's own; leave it out")
        engine = AutoModel(model, revision, batch_size)
    else:
        from xltlib.apertium import Apertium

        engine, beam, options = Apertium(), 1, {}
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
        device_parts(device)
        self.device, self.chunk, self._easynmt = str(device), chunk, None
        self.counts: dict[tuple[str, str], Counts] = {}

    def signature(self, source: str, target: str) -> str:
        """What made a translation, in one line that travels with it; LEGEND says what its parts mean."""
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
        """Translations in the texts' order; a blank text gives "", one without a letter or digit and the same language
        give the texts themselves. Neither reaches the engine.

        InputError for a language that the engine does not know and for a text that is no string or half a character.
        """
        texts = strings(texts)
        if source == target:
            return texts
        self.engine.check(source, target)
        normal = {text: unicodedata.normalize("NFC", text) for text in texts if translatable(text)}
        found = self._translations(set(normal.values()), source, target)
        counts = self.counts.setdefault((source, target), Counts())
        outputs = []
        for text in texts:
            own = Translation("" if blank(text) else text, ("unchanged",))
            output = found[normal[text]] if text in normal else own
            outputs.append(output.text)
            if not blank(text):
                counts.add(output.kinds)
        return outputs

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
        """Different, translatable NFC texts through EasyNMT and the engine, past the memory."""
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


COMPARABLE = "char"
"""The tokenizer of BLEU that is the same in all languages: every character but blanks is a token. It needs no download,
and the numbers are on another scale than those over words: compare within one tokenizer only."""
TOKENIZERS = ("13a", "zh", "ja-mecab", "char", "flores101", "flores200")


def bleu(
    outputs: Sequence[str], references: Sequence[str], target: str, *, tokenize: str | None = None
) -> tuple[float, str]:
    """(corpus BLEU, 0-100, and its signature) by sacreBLEU (Post 2018) with the tokenizer of the target language.

    The languages' own tokenizers count words in most languages and characters in Korean and Thai: scores of two target
    languages cannot be compared. `tokenize=COMPARABLE` counts characters in all. "flores101" (spBLEU, Goyal et al.
    2022) counts subwords of one model for all; sacreBLEU downloads that model once, so it is taken only where it lies
    in its folder already. InputError when it does not, for one string in place of several, and for unequal numbers.
    """
    from sacrebleu.metrics import BLEU

    outputs, references = strings(outputs, "output"), strings(references, "reference")
    if len(outputs) != len(references) or not outputs:
        found = f"{len(outputs)} outputs, {len(references)} references"
        raise InputError(f"BLEU needs as many references as outputs, at least one: {found}")
    name = language(target).bleu_tokenizer if tokenize is None else choice(tokenize, TOKENIZERS, "tokenizer of BLEU")
    _at_hand(name)
    metric = BLEU(tokenize=name)
    score = metric.corpus_score(outputs, [references])
    return score.score, str(metric.get_signature())


def _at_hand(name: str) -> None:
    """InputError when sacreBLEU would download this tokenizer's model."""
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    if name in SPM_MODELS:
        path = Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS[name]["url"]).name
        if not path.exists():
            raise InputError(f"{path}: no such model; download {SPM_MODELS[name]['url']}, or use {COMPARABLE!r}")
