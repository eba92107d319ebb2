"""A small BERT trained from scratch on the training texts alone, tokenizer included: nothing pre-trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from xltlib.errors import strings
from xltlib.models import Classifier, HeadSettings
from xltlib.training import Row, Settings, as_data, encode, predict, train

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclass(frozen=True)
class Size:
    """The encoder's shape and its training. Chosen once for cost (seconds a run on one core), not tuned."""

    vocabulary: int = 3000
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    feed_forward: int = 128
    length: int = 64
    epochs: int = 5
    batch: int = 32
    learning_rate: float = 1e-3


SIZE = Size()
SETTINGS = asdict(SIZE)
"""For a run's spec."""


def fit_tokenizer(texts: Sequence[str], size: Size = SIZE):
    """A byte-pair tokenizer (lower-cased, accents kept) whose vocabulary comes from `texts`.

    Not WordPiece: its trainer numbers the pieces in another order in every process.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace()])
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary, min_frequency=2, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(sorted(strings(texts)), trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def build(vocabulary: int, classes: int, size: Size = SIZE) -> Classifier:
    """The untrained classifier; its weights come from torch's generator."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.feed_forward,
        max_position_embeddings=size.length,
    )
    return Classifier(BertModel(config, add_pooling_layer=False), HeadSettings(classes=classes))


def fit(
    texts: Sequence[str],
    labels: Sequence[int],
    seed: int = 0,
    validation: tuple[Sequence[str], Sequence[int]] | None = None,
    size: Size = SIZE,
) -> Callable[[Sequence[str]], np.ndarray]:
    """Train on texts with 0-based classes; returns a function from texts to class probabilities (n, classes), float32.

    `validation` (texts, labels): the epoch with the best accuracy on it is kept; without it the last one. Same seed,
    same machine, same numbers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = fit_tokenizer(texts, size)
        model = build(len(tokenizer), max(labels) + 1, size)
        score = _validator(model, tokenizer, *validation, size) if validation else None
        groups = [(Row(text, label, ""),) for text, label in zip(texts, labels, strict=True)]
        data = as_data(groups, _encode(texts, tokenizer, model, size))
        settings = Settings(epochs=size.epochs, batch=size.batch, learning_rate=size.learning_rate)
        train(model, data, settings, seed, score)
    return partial(_probabilities, model, tokenizer, size)


def _probabilities(model: Classifier, tokenizer, size: Size, texts: Sequence[str]) -> np.ndarray:
    if not len(texts):
        return np.zeros((0, model.settings.classes), dtype=np.float32)
    return predict(model, _encode(texts, tokenizer, model, size))


def fit_predict(
    train_texts: Sequence[str],
    train_labels: Sequence[int],
    test_sets: Mapping[str, Sequence[str]],
    seed: int = 0,
    validation: tuple[Sequence[str], Sequence[int]] | None = None,
    size: Size = SIZE,
) -> dict[str, np.ndarray]:
    """Train once and predict several test sets: name -> class probabilities (n, classes); see `fit`."""
    predictor = fit(train_texts, train_labels, seed, validation, size)
    return {name: predictor(texts) for name, texts in test_sets.items()}


def _encode(texts: Sequence[str], tokenizer, model: Classifier, size: Size):
    return encode(texts, tokenizer, model, limit=size.length)


def _validator(model: Classifier, tokenizer, texts: Sequence[str], labels: Sequence[int], size: Size):
    encoded, wanted = _encode(texts, tokenizer, model, size), np.asarray(labels)
    return lambda: float((predict(model, encoded).argmax(1) == wanted).mean())
