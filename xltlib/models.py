"""Encoders with a classification head, and checkpoints: where they lie, their hashes, how to build them again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from xltlib.errors import InputError
from xltlib.hub import INDEX, hub_folder
from xltlib.mixing import Part, encode_mixed, mixed_embeddings, union_mask
from xltlib.scales import DATA

CHECKPOINTS = (
    *("mini-m2m", "mini-m2m-undertrained", "mini-mbert", "mini-m2m-2", "mini-mbert-2", "mini-bert-en"),
    *("mini-llama-0.25m", "mini-llama-1m", "mini-llama-1m-labelled", "mini-llama-4m", "mini-m2m-4"),
    *("mini-objectives-tokenizer", "mini-2-lm", "mini-2-mt", "mini-clm", "mini-mlm", "mini-tlm"),
)
FOLDER = DATA / "checkpoints"
TOKENIZER_FILES = (
    "tokenizer_config.json", "tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "special_tokens_map.json",
)  # fmt: skip
NOT_HASHED = ("README.md", "checkpoint.json", "canary.json")
"""What stands beside a checkpoint and changes nothing about it."""
BERT_LIKE = ("bert", "roberta", "xlm-roberta")


def file_hash(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


@cache
def verify_checkpoint(name: str, folder: Path = FOLDER) -> Path:
    """The folder of a shipped checkpoint, after comparing every file with the hashes in its checkpoint.json.

    InputError names the file that is missing or altered.
    """
    path = folder / name
    remedy = f"restore it from git, or build it again: xlt models build {name}"
    if not (path / "checkpoint.json").exists():
        raise InputError(f"{path}: no such checkpoint; {remedy}")
    for file, expected in _hashes(path, remedy).items():
        if not (path / file).exists():
            raise InputError(f"{path / file}: missing; {remedy}")
        if file_hash(path / file) != expected:
            raise InputError(f"{path / file}: its sha256 is not the one in checkpoint.json; {remedy}")
    return path


def _hashes(path: Path, remedy: str = "restore it from git") -> dict[str, str]:
    try:
        return dict(json.loads((path / "checkpoint.json").read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path / 'checkpoint.json'}: truncated or altered; {remedy}") from None


def fingerprint(name: str) -> str:
    """name@hash of a shipped checkpoint (weights and tokenizer) or of a folder, or the name itself for a checkpoint of
    the hub, which has its commit in it."""
    if name not in CHECKPOINTS:
        folder = Path(name)
        return f"{folder.resolve().name}@{folder_hash(folder)}" if folder.is_dir() else name
    hashes = json.dumps(_hashes(verify_checkpoint(name)), sort_keys=True)
    return f"{name}@{sha256(hashes.encode()).hexdigest()[:8]}"


def folder_hash(folder: Path) -> str:
    """8 hex digits over every file of a checkpoint but its cards; another weight gives another hash. Files are read
    again only when their size or time has changed."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in NOT_HASHED)
    stats = [(path, path.stat()) for path in paths]
    return _folder_hash(tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats))


@cache
def _folder_hash(states: tuple[tuple[Path, int, int], ...]) -> str:
    return sha256("\n".join(f"{path.name} {file_hash(path)}" for path, _, _ in states).encode()).hexdigest()[:8]


def languages_of(name: str) -> tuple[str, ...]:
    """The languages that a shipped checkpoint was trained on."""
    path = verify_checkpoint(name) / "checkpoint.json"
    return tuple(json.loads(path.read_text(encoding="utf-8"))["languages"])


def write_manifest(folder: Path, **facts) -> None:
    """Write checkpoint.json: the hash of every file that a user of the checkpoint reads, and the facts of its
    training."""
    files = sorted(p for p in folder.iterdir() if p.name not in NOT_HASHED)
    manifest = {"name": folder.name, "sha256": {p.name: file_hash(p) for p in files}} | facts
    (folder / "checkpoint.json").write_text(json.dumps(manifest, indent=1) + "\n")


def source_of(name: str) -> Path:
    """The folder that transformers loads a checkpoint from: a shipped one, verified; a folder; 'hub-name@revision',
    from the hub's cache or downloaded. InputError at once when it is none of them or the hub cannot be reached."""
    if name in CHECKPOINTS:
        return verify_checkpoint(name)
    if Path(name).is_dir():
        return Path(name)
    repository, _, revision = name.partition("@")
    return hub_folder(repository, revision or "main", TOKENIZER_FILES, ("model.safetensors", f"model{INDEX}"))


def load_tokenizer(name: str):
    """The tokenizer of a checkpoint (a shipped name, a folder, or 'hub-name@revision')."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, source_of(name))


def bfloat16_pays() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones (avx512_bf16)."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def load_encoder(name: str, attention: str | None = None, pooler: bool = False) -> nn.Module:
    """The encoder of a checkpoint in float32 evaluation mode, safetensors only, no remote code.

    `attention`: transformers' name of an implementation; None takes its choice. `pooler`: with a BERT-like encoder's
    pooler; one that the checkpoint does not hold starts from random weights.
    """
    from transformers import AutoConfig, AutoModel

    folder = source_of(name)
    arguments = {"add_pooling_layer": pooler} if _load(AutoConfig, folder).model_type in BERT_LIKE else {}
    arguments |= {"attn_implementation": attention} if attention else {}
    return _load(AutoModel, folder, use_safetensors=True, dtype=torch.float32, **arguments).eval()


def load_causal(name: str, attention: str | None = None) -> nn.Module:
    """A causal language model of a checkpoint in evaluation mode, safetensors only, no remote code: in float32 on a
    processor, in bfloat16 where there is a GPU. `attention`: an implementation in transformers, None for its choice."""
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    options = {"attn_implementation": attention} if attention else {}
    return _load(AutoModelForCausalLM, source_of(name), use_safetensors=True, dtype=dtype, **options).eval()


def _load(loader, folder: Path, **arguments):
    try:
        return loader.from_pretrained(folder, local_files_only=True, **arguments)
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: not a checkpoint that can be loaded ({reason})") from None


@dataclass(frozen=True)
class HeadSettings:
    """How an encoder becomes a classifier. `frozen_layers` counts lower layers that keep their weights, embeddings
    included. `bfloat16`: matrix products of the encoder in bfloat16; weights, embeddings and losses stay float32. Use
    it with "eager" attention: on processors the backward pass of the fused one is slow in bfloat16. `separator`: the id
    after which the second text of a pair begins, for encoders that were trained with token types; None gives all tokens
    type 0."""

    classes: int = 5
    pooling: str = "mean"  # "mean" over tokens, or "cls"
    frozen_layers: int = 0
    dropout: float = 0.1
    bfloat16: bool = False
    separator: int | None = None
    pooler: bool = False  # BERT's Linear-tanh stands before dropout and head; what embeds stays before it


class Classifier(nn.Module):
    """An encoder, a pooled embedding, and a linear head.

    `lower` (embeddings and the frozen layers) never changes in training, so its output is computed once a text and
    kept; `forward` takes that output when layers are frozen, else token ids.
    """

    def __init__(self, encoder: nn.Module, settings: HeadSettings):
        super().__init__()
        if settings.pooling not in ("mean", "cls"):
            raise InputError(f"unknown pooling {settings.pooling!r}: use one of mean, cls")
        if settings.frozen_layers and encoder.config.model_type not in BERT_LIKE:
            raise InputError(f"frozen_layers needs a BERT-like encoder, not {encoder.config.model_type!r}: set it to 0")
        if not 0 <= settings.frozen_layers <= encoder.config.num_hidden_layers:
            layers = encoder.config.num_hidden_layers
            raise InputError(f"frozen_layers is {settings.frozen_layers}: use 0 to {layers}, the encoder's layers")
        if settings.pooler and getattr(encoder, "pooler", None) is None:
            raise InputError("this head needs the encoder's pooler: load a BERT-like encoder with pooler=True")
        self.encoder, self.settings = encoder, settings
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(encoder.config.hidden_size, settings.classes)
        if settings.frozen_layers:
            for module in (encoder.embeddings, *encoder.encoder.layer[: settings.frozen_layers]):
                module.requires_grad_(False)

    @torch.no_grad()
    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Output of the frozen part: (n, length) ids and mask to (n, length, d)."""
        return self._lower(self.encoder.embeddings(input_ids=ids, **self._types(ids)), mask)

    def _lower(self, hidden: Tensor, mask: Tensor) -> Tensor:
        with self._precision(hidden):
            for layer in self.encoder.encoder.layer[: self.settings.frozen_layers]:
                hidden = _apply(layer, hidden, mask)
        return hidden.float()

    def _types(self, ids: Tensor) -> dict[str, Tensor]:
        """Token types: 1 between the first separator and the second one, that one included; 0 elsewhere."""
        if self.settings.separator is None:
            return {}
        ends = (ids == self.settings.separator).long()
        return {"token_type_ids": (ends.cumsum(1) - ends == 1).long()}

    def _precision(self, inputs: Tensor) -> torch.autocast:
        return torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.settings.bfloat16)

    def embed(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Pooled embeddings (n, d), before dropout and head: what the contrastive losses see."""
        if self.settings.frozen_layers:
            return self._pool(self._upper(inputs, mask), mask)
        with self._precision(inputs):
            hidden = self.encoder(input_ids=inputs, attention_mask=mask, **self._types(inputs)).last_hidden_state
        return self._pool(hidden.float(), mask)

    def embed_mixed(self, ids: Tensor, mask: Tensor, parts: Sequence[Part], level: str) -> Tensor:
        """Pooled embeddings (n, d) of token ids, some rows mixed with each other at the embedding layer (`mixing`).

        A part's rows are in the batch in normal order; they become their mixtures with the part in reverse order.
        """
        mask = union_mask(mask, parts)
        if self.settings.frozen_layers:
            with torch.no_grad():
                hidden = self._lower(mixed_embeddings(self.encoder, ids, parts, level, **self._types(ids)), mask)
            return self._pool(self._upper(hidden, mask), mask)
        with self._precision(ids):
            hidden = encode_mixed(self.encoder, ids, mask, parts, level, **self._types(ids))
        return self._pool(hidden.float(), mask)

    def _upper(self, hidden: Tensor, mask: Tensor) -> Tensor:
        with self._precision(hidden):
            for layer in self.encoder.encoder.layer[self.settings.frozen_layers :]:
                hidden = _apply(layer, hidden, mask)
        return hidden.float()

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self.settings.pooling == "cls":
            return hidden[:, 0]
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (n, classes) of pooled embeddings (n, d)."""
        if self.settings.pooler:
            pooled = self.encoder.pooler.dense(pooled).tanh()
        return self.head(self.dropout(pooled))

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (n, classes), pooled embeddings (n, d))."""
        pooled = self.embed(inputs, mask)
        return self.classify(pooled), pooled


def _apply(layer: nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:
    bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
    bias = bias.masked_fill(mask == 0, torch.finfo(hidden.dtype).min)[:, None, None, :]
    return layer(hidden, attention_mask=bias)[0]
