"""Small, randomly initialised models and tokenizers in folders of the hub's layout, and a few labelled texts."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import sentencepiece
import torch

from xltlib import musc_training, pretraining
from xltlib.corpora import embedded
from xltlib.models import Classifier, HeadSettings, load_encoder, load_tokenizer
from xltlib.pretraining import Recipe
from xltlib.training import Encoded, Row, as_data, encode

RECIPE = Recipe(steps=6, cooldown=3, warmup=2, learning_rate=1e-2, tokens=400, bitext=40, width=32, layers=3)
PIECES = 500


def labelled(size: int = 40) -> tuple[list[str], list[int]]:
    """English validation texts and 0-based labels."""
    reviews = embedded.reviews("en", "validation")[:size]
    return [r.text for r in reviews], [r.stars - 1 for r in reviews]


def lines() -> list[str]:
    """Text of several scripts for a small vocabulary."""
    return [r.text for code in ("en", "ru") for r in embedded.reviews(code, "validation")[:100]]


@cache
def _folder() -> Path:
    """A temporary folder that goes with the process."""
    folder = tempfile.mkdtemp(prefix="models_for_tests")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def pieces() -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model of a few hundred pieces."""
    return pretraining.train_sentencepiece(_folder() / "pieces", lines(), PIECES)


@cache
def bert_folder() -> Path:
    """A checkpoint like mini-mbert: three layers of width 32, never trained. Made once for all tests."""
    folder = _folder() / "bert"
    folder.mkdir(exist_ok=True)
    tokenizer = pretraining.build_bert_tokenizer(folder, pieces())
    torch.manual_seed(1)
    model = pretraining.small_bert(len(tokenizer), RECIPE)
    for parameter in model.parameters():  # BERT's initial weights are so small that all texts would look alike
        parameter.data.mul_(2) if parameter.ndim > 1 else None
    model.save_pretrained(folder)
    return folder


def wordpieces(folder: Path) -> int:
    """Write a cased WordPiece tokenizer of letters in the hub's layout; the size of its vocabulary."""
    from transformers import BertTokenizerFast

    letters = sorted({c for text in labelled()[0] for c in text if not c.isspace()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False, model_max_length=512).save_pretrained(folder)
    return len(vocabulary)


@cache
def distilbert_folder() -> Path:
    """A checkpoint of the class and layout of distilbert-base-multilingual-cased, with random weights."""
    from transformers import DistilBertConfig, DistilBertModel

    folder = _folder() / "distilbert"
    folder.mkdir(exist_ok=True)
    size = wordpieces(folder)
    torch.manual_seed(2)
    config = DistilBertConfig(vocab_size=size, dim=32, hidden_dim=64, n_layers=2, n_heads=2)
    DistilBertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder


@cache
def mbert_folder() -> Path:
    """A checkpoint of the class and layout of bert-base-multilingual-cased (dropout and token types as there), with
    random weights."""
    from transformers import BertConfig, BertForMaskedLM

    folder = _folder() / "mbert"
    folder.mkdir(exist_ok=True)
    size = wordpieces(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64,
        type_vocab_size=2,
    )  # fmt: skip
    model = BertForMaskedLM(config)
    for parameter in model.parameters():  # as in `bert_folder`; token types must tell, too
        parameter.data.mul_(3) if parameter.ndim > 1 else None
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def classifier(folder: Path, seed: int = 0, **settings) -> Classifier:
    """A classifier on a checkpoint; the head's weights depend on the seed."""
    torch.manual_seed(11)  # a pooler that the checkpoint lacks is drawn
    encoder = load_encoder(str(folder), pooler=settings.get("pooler", False))
    torch.manual_seed(seed)
    return Classifier(encoder, HeadSettings(**settings)).eval()


def encoded(model: Classifier, folder: Path, texts: list[str], **options) -> Encoded:
    """Texts as the classifier takes them."""
    return encode(texts, load_tokenizer(str(folder)), model, **options)


def paired_data(model: Classifier, folder: Path, size: int = 20):
    """A training set of originals with upper-cased 'translations' in pairs."""
    texts, labels = labelled(size)
    groups = [(Row(t, y, "en"), Row(t.upper(), y, "de", True)) for t, y in zip(texts, labels, strict=True)]
    return as_data(groups, encoded(model, folder, [row.text for group in groups for row in group]))


def pair_model(folder: Path, **settings) -> Classifier:
    """A classifier with the projector of MUSC's contrastive terms."""
    model = classifier(folder, **settings)
    torch.manual_seed(7)
    model.projector = musc_training.projector(model.head.in_features)
    return model


def pair_data(
    model: Classifier, folder: Path, texts: list[str], labels: list[int], languages=("de", "zh")
) -> musc_training.PairData:
    """A training set of MUSC: sources, and for each language 'translations' of other lengths."""
    n, sides = len(texts), [[text.upper()[k + 1 :] for text in texts] for k in range(len(languages))]
    rows = encoded(model, folder, [*texts, *(text for side in sides for text in side)])
    pairs = {code: [(i, (k + 1) * n + i) for i in range(n)] for k, code in enumerate(languages)}
    return musc_training.PairData(rows, torch.tensor(list(labels) * (len(languages) + 1)), pairs)


@cache
def decoder_folder(kind: str = "llama") -> Path:
    """A causal model of Llama's or Qwen2's class with random weights, in the hub's layout, with the small decoders'
    kind of tokenizer. Made once for all tests."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    from xltlib import decoders

    folder = _folder() / kind
    folder.mkdir(exist_ok=True)
    tokenizer = decoders.build_tokenizer(folder, 900, decoders.tokenizer_lines(300))
    config, model = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[kind]
    torch.manual_seed(3)
    made = model(config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2048, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    ))  # fmt: skip
    for parameter in made.parameters():  # with its small initial weights a model says the same whatever it reads
        parameter.data.mul_(5) if parameter.ndim > 1 else None
    made.save_pretrained(folder)
    return folder
