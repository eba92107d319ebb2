"""Translation engines that EasyNMT accepts as `EasyNMT(translator=engine)`: its own AutoModel, as it comes and with
CTranslate2's search, and CTranslate2. LEGEND says how they differ.

All read the same M2M100 checkpoint (a shipped name, a folder, or a name of the hub). HuggingFace and CTranslate2
generate at most `max_length` tokens, language token and end of sentence included; sources are cut at `max_length` too.
Apertium has its own module.
"""

import json
import re
import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from xltlib.devices import device_parts
from xltlib.errors import InputError
from xltlib.models import CHECKPOINTS, languages_of
from xltlib.scales import BUILD
from xltlib.translation_models import check_language_tokens, convert, find_checkpoint

VERSION = 1
"""Of the method: raise it when a change here changes a translation."""
COMPUTE_TYPES = ("int8", "float32")
OPTIONS = ("length_penalty", "repetition_penalty", "no_repeat_ngram_size")
BATCH = 64
LEGEND = {
    "src, tgt": "the languages, by their codes",
    "engine:easynmt-automodel": "EasyNMT's own model class with EasyNMT's own defaults; what ends a search is said in "
    "the checkpoint's generation_config.json (scale paper)",
    "engine:easynmt-huggingface": "the same class, but a search ends as soon as it has as many finished outputs as "
    "beams (early stopping), an output has at least two tokens (the language's and one of text), and text that looks "
    "like a special token stays text",
    "engine:easynmt-ctranslate2-float32": "CTranslate2 with the search of easynmt-huggingface, in batches of one "
    "length, so without padding",
    "engine:easynmt-ctranslate2-int8": "the same with weights rounded to 8-bit integers (scales smoke and mini)",
    "engine:easynmt-apertium": "rules, not a model: beam and options mean nothing",
    "model": "the checkpoint with the hash of its files, its commit on the hub, or Apertium's route and rules",
    "beam": "beams of the search; 1 is greedy",
    "split": "none: a text goes to the engine whole (EasyNMT would split it into sentences); composed characters (NFC)",
    "max": "the most tokens of an output, the language's and the end included (easynmt-automodel: and the decoder's "
    "start token)",
    "length_penalty and others": "options of the search, where they are given",
    "lib": "version of the engine's library (easynmt-automodel: of EasyNMT and transformers)",
    "v": "version of our method",
}
"""What each part of a signature means, and what an engine does that EasyNMT's own defaults do not. Texts without a
letter or digit reach no engine (`xltlib.degenerate.translatable`)."""
LANGUAGE_TOKEN = re.compile(r"__[a-z]{2,3}__|madeupword\d+")


class Engine(ABC):
    """What stands behind EasyNMT. `cut` holds the sentences that hit the maximum length, as source or translated."""

    name: str
    version: str
    model: str
    batch_size = 4096  # sentences that EasyNMT hands over at once; the engine batches by itself

    def __init__(self) -> None:
        self.cut: set[str] = set()

    @abstractmethod
    def fingerprint(self, source: str, target: str) -> str:
        """Everything on the engine's side that a translation depends on; cheap, loads no weights."""

    @abstractmethod
    def check(self, source: str, target: str) -> None:
        """InputError when this engine cannot translate from source into target."""

    def model_for(self, source: str, target: str) -> str:
        """The model's name in a signature."""
        return self.model

    @abstractmethod
    def translate_sentences(
        self, sentences: list[str], source_lang: str, target_lang: str, device="cpu", beam_size=5, **options
    ) -> list[str]:
        """Translations, in order; EasyNMT calls it."""


def checked_length(tokens: int) -> int:
    """A maximum length in tokens; InputError where nothing but language token and end would fit."""
    if tokens < 4:
        raise InputError(f"max_length={tokens}: use at least 4 tokens (language, text, end of sentence)")
    return tokens


def own_max_length(folder: Path) -> int:
    """The length at which a checkpoint ends its outputs when nobody says another: its generation_config.json's (without
    such a file, its config.json's), else transformers' 20."""
    paths = (folder / name for name in ("generation_config.json", "config.json"))
    path = next(path for path in paths if path.exists())
    return json.loads(path.read_text(encoding="utf-8")).get("max_length", 20)


class CheckpointEngine(Engine):
    """An engine over an M2M100 checkpoint."""

    def __init__(self, model: str | Path, max_length: int = 128, revision: str | None = None):
        super().__init__()
        self.max_length = checked_length(max_length)
        self.folder, self.model = find_checkpoint(str(model), revision)
        self.known = languages_of(str(model)) if str(model) in CHECKPOINTS else None
        self._sentencepiece = None

    def fingerprint(self, source: str, target: str) -> str:
        """Weights and tokenizer, engine and its version, maximum length."""
        return f"{self.model}|{self.name}-{self.version}|max:{self.max_length}|v:{VERSION}"

    def check(self, source: str, target: str) -> None:
        """InputError when a language was not trained (a shipped checkpoint) or is none of M2M100's hundred."""
        if self.known is None:
            from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

            self.known = tuple(FAIRSEQ_LANGUAGE_CODES["m2m100"])
        for code in (source, target):
            if code not in self.known:
                known = ", ".join(self.known)
                raise InputError(f"{self.model} does not know the language {code!r}: use one of {known}")

    def pieces(self, sentences: list[str]) -> list[list[str]]:
        """SentencePiece tokens, without language and end tokens (text like '</s>' stays text)."""
        if self._sentencepiece is None:
            from sentencepiece import SentencePieceProcessor

            self._sentencepiece = SentencePieceProcessor(model_file=str(self.folder / "sentencepiece.bpe.model"))
        return self._sentencepiece.encode(sentences, out_type=str)


class AutoModel(CheckpointEngine):
    """EasyNMT's own `models.AutoModel` with EasyNMT's own defaults, as scale "paper" runs it.

    What a search may do is what EasyNMT and the checkpoint's generation_config.json say: its maximum length, no early
    stopping unless the file asks for it, no least number of tokens. Sources are cut where the tokenizer says.
    """

    name = "automodel"
    search: Mapping = MappingProxyType({})
    """Arguments of the search besides EasyNMT's."""

    def __init__(self, model: str | Path, revision: str | None = None, batch_size: int = 16):
        super().__init__(model, revision=revision)
        self.max_length = own_max_length(self.folder)
        self.version, self.batch_size = f"{version('easynmt')}-{version('transformers')}", batch_size
        self._auto = None

    def _load(self, **tokenizer) -> None:
        with warnings.catch_warnings():  # EasyNMT's sources hold invalid escapes, which warn when first compiled
            warnings.simplefilter("ignore")
            from easynmt import models
        self._auto = models.AutoModel(str(self.folder), tokenizer_args=tokenizer)
        check_language_tokens(self._auto.tokenizer, self.model)
        self._auto.model.eval()
        generate = self._auto.model.generate

        def recorded(**arguments):  # AutoModel returns strings only; whether a sentence ended is in the ids
            self._ids = generate(**arguments)
            return self._ids

        self._auto.model.generate = recorded

    def translate_sentences(
        self, sentences: list[str], source_lang: str, target_lang: str, device="cpu", beam_size=5, **options
    ) -> list[str]:
        if self._auto is None:
            self._load()
        arguments = {**self.search, **options}
        outputs = self._auto.translate_sentences(sentences, source_lang, target_lang, device, beam_size, **arguments)
        end, longest = self._auto.tokenizer.eos_token_id, self._auto.tokenizer.model_max_length - 2
        for sentence, row, ids in zip(sentences, self.pieces(sentences), self._ids.tolist(), strict=True):
            if end not in ids[1:] or len(row) > longest:
                self.cut.add(sentence)
        return outputs


class HuggingFace(AutoModel):
    """EasyNMT's `models.AutoModel` with CTranslate2's search, so that the two can be compared: see LEGEND."""

    name = "huggingface"

    def __init__(self, model: str | Path, max_length: int = 128, revision: str | None = None, batch_size: int = 16):
        super().__init__(model, revision, batch_size)
        self.max_length, self.version = checked_length(max_length), version("transformers")
        # + 1 for the decoder's start token, a search ends with `beam` hypotheses, none is empty
        self.search = {"max_length": self.max_length + 1, "early_stopping": True, "min_new_tokens": 2}

    def _load(self) -> None:
        super()._load(model_max_length=self.max_length, split_special_tokens=True)


class CTranslate2(CheckpointEngine):
    """CTranslate2 on a converted copy of the checkpoint; the target language token is the prefix of each output.

    Sentences of the same number of tokens form a batch: without padding, the company of a sentence cannot change it.
    `threads` batches are translated at once, each on one thread.
    """

    def __init__(
        self, model: str | Path, max_length: int = 128, revision: str | None = None, compute_type: str = "int8",
        threads: int = 1, build: Path = BUILD / "ctranslate2",
    ):  # fmt: skip
        if compute_type not in COMPUTE_TYPES:
            raise InputError(f"unknown compute_type {compute_type!r}: use one of {', '.join(COMPUTE_TYPES)}")
        super().__init__(model, max_length, revision)
        self.name, self.version = f"ctranslate2-{compute_type}", version("ctranslate2")
        self.compute_type, self.threads, self.build = compute_type, threads, build
        self._translators: dict = {}

    def _translator(self, device: str):
        if device not in self._translators:
            import ctranslate2

            kind, index = device_parts(device)
            folder = convert(self.folder, self.model, self.compute_type, self.build)
            self._translators[device] = ctranslate2.Translator(
                str(folder),
                device=kind,
                device_index=index,
                compute_type=self.compute_type,
                intra_threads=1,
                inter_threads=self.threads,
            )
        return self._translators[device]

    def translate_sentences(
        self, sentences: list[str], source_lang: str, target_lang: str, device="cpu", beam_size=5, **options
    ) -> list[str]:
        translator, rows, outputs = self._translator(device), self.pieces(sentences), [""] * len(sentences)
        limit, prefix = self.max_length - 2, f"__{target_lang}__"
        lengths = defaultdict(list)
        for i, row in enumerate(rows):
            lengths[min(len(row), limit)].append(i)
        pending = []
        for length, indices in lengths.items():
            tokens = [[f"__{source_lang}__", *rows[i][:length], "</s>"] for i in indices]
            results = translator.translate_batch(
                tokens, [[prefix]] * len(tokens), max_batch_size=BATCH, beam_size=beam_size, return_end_token=True,
                max_decoding_length=self.max_length, max_input_length=0, asynchronous=True, **options,
            )  # fmt: skip
            pending += zip(indices, results, strict=True)
        for i, result in pending:
            generated = result.result().hypotheses[0]
            outputs[i] = self._text(generated, prefix)
            if generated[-1] != "</s>" or len(rows[i]) > limit:
                self.cut.add(sentences[i])
        return outputs

    def _text(self, tokens: list[str], prefix: str) -> str:
        special = ("<s>", "<pad>", "</s>", "<unk>", prefix)
        kept = [t for t in tokens if t not in special and not LANGUAGE_TOKEN.fullmatch(t)]
        return self._sentencepiece.decode(kept).strip()
