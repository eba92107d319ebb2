"""Translation engines that EasyNMT accepts as `EasyNMT(translator=engine)`: Hugging Face (its own) and CTranslate2.

Both read the same M2M100 checkpoint (a shipped name, a folder, or a name of the hub) and generate at most `max_length`
tokens, language token and end of sentence included; sources are cut at `max_length` too. Apertium has its own module.
"""

import re
import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

from xltlib.errors import InputError
from xltlib.models import CHECKPOINTS, languages_of
from xltlib.scales import BUILD
from xltlib.translation_models import check_language_tokens, convert, find_checkpoint

VERSION = 1
"""Of the method: raise it when a change here changes a translation."""
COMPUTE_TYPES = ("int8", "float32")
OPTIONS = ("length_penalty", "repetition_penalty", "no_repeat_ngram_size")
BATCH = 64
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


class CheckpointEngine(Engine):
    """An engine over an M2M100 checkpoint."""

    def __init__(self, model: str | Path, max_length: int = 128, revision: str | None = None):
        super().__init__()
        if max_length < 4:
            raise InputError(f"max_length={max_length}: use at least 4 tokens (language, text, end of sentence)")
        self.folder, self.model = find_checkpoint(str(model), revision)
        self.max_length = max_length
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


class HuggingFace(CheckpointEngine):
    """EasyNMT's own `models.AutoModel`, with the maximum length said and recorded."""

    name = "huggingface"
    batch_size = 16

    def __init__(self, model: str | Path, max_length: int = 128, revision: str | None = None, batch_size: int = 16):
        super().__init__(model, max_length, revision)
        self.version, self.batch_size, self._auto = version("transformers"), batch_size, None

    def _load(self):
        with warnings.catch_warnings():  # EasyNMT's sources hold invalid escapes, which warn when first compiled
            warnings.simplefilter("ignore")
            from easynmt.models import AutoModel
        arguments = {"model_max_length": self.max_length, "split_special_tokens": True}
        self._auto = AutoModel(str(self.folder), tokenizer_args=arguments)
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
        # CTranslate2's ways: + 1 for the decoder's start token, a search ends with `beam` hypotheses, none is empty
        settings = {"max_length": self.max_length + 1, "early_stopping": True, "min_new_tokens": 2, **options}
        outputs = self._auto.translate_sentences(sentences, source_lang, target_lang, device, beam_size, **settings)
        end = self._auto.tokenizer.eos_token_id
        for sentence, row, ids in zip(sentences, self.pieces(sentences), self._ids.tolist(), strict=True):
            if end not in ids[1:] or len(row) > self.max_length - 2:
                self.cut.add(sentence)
        return outputs


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

            folder = convert(self.folder, self.model, self.compute_type, self.build)
            self._translators[device] = ctranslate2.Translator(
                str(folder),
                device=device.split(":")[0],
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
