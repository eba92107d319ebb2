"""Encoders with a classification head, and checkpoints: where they lie, their hashes, how to build them again."""

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from xltlib.errors import InputError
from xltlib.scales import DATA

CHECKPOINTS = ("mini-m2m", "mini-m2m-undertrained", "mini-mbert")
FOLDER = DATA / "checkpoints"
BERT_LIKE = ("bert", "roberta", "xlm-roberta")


def file_hash(path: Path) -> str:
    """sha256 of a file, in hex."""
    return sha256(path.read_bytes()).hexdigest()


@cache
def verify_checkpoint(name: str, folder: Path = FOLDER) -> Path:
    """The folder of a shipped checkpoint, after comparing every file with the hashes in its checkpoint.json.

    InputError names the file that is missing or altered.
    """
    path = folder / name
    remedy = f"restore it from git, or build it again: xlt models build {name}"
    if not (path / "checkpoint.json").exists():
        raise InputError(f"{path}: no such checkpoint; {remedy}")
    for file, expected in json.loads((path / "checkpoint.json").read_text())["sha256"].items():
        if not (path / file).exists():
            raise InputError(f"{path / file}: missing; {remedy}")
        if file_hash(path / file) != expected:
            raise InputError(f"{path / file}: its sha256 is not the one in checkpoint.json; {remedy}")
    return path


def fingerprint(name: str) -> str:
    """name@hash of a shipped checkpoint (weights and tokenizer), or the name itself for a checkpoint of the hub."""
    if name not in CHECKPOINTS:
        return name
    hashes = json.loads((verify_checkpoint(name) / "checkpoint.json").read_text())["sha256"]
    return f"{name}@{sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:8]}"


def write_manifest(folder: Path, **facts) -> None:
    """Write checkpoint.json: the hash of every file that a user of the checkpoint reads, and the facts of its training."""
    files = sorted(p for p in folder.iterdir() if p.name not in ("checkpoint.json", "README.md"))
    manifest = {"name": folder.name, "sha256": {p.name: file_hash(p) for p in files}} | facts
    (folder / "checkpoint.json").write_text(json.dumps(manifest, indent=1) + "\n")


def source_of(name: str) -> tuple[str, str | None]:
    """Where transformers loads a checkpoint from, and the pinned revision: a verified folder, a path, or 'hub-name@revision'."""
    if name in CHECKPOINTS:
        return str(verify_checkpoint(name)), None
    if Path(name).is_dir():
        return name, None
    repository, _, revision = name.partition("@")
    return repository, revision or None


def load_tokenizer(name: str):
    """The tokenizer of a checkpoint (a shipped name, a folder, or 'hub-name@revision')."""
    from transformers import AutoTokenizer

    path, revision = source_of(name)
    return AutoTokenizer.from_pretrained(path, revision=revision)


def load_encoder(name: str) -> nn.Module:
    """The encoder of a checkpoint in float32 evaluation mode, safetensors only, no remote code."""
    from transformers import AutoModel

    path, revision = source_of(name)
    arguments = {"add_pooling_layer": False} if _is_bert(path, revision) else {}
    model = AutoModel.from_pretrained(path, revision=revision, use_safetensors=True, dtype=torch.float32, **arguments)
    return model.eval()


def _is_bert(path: str, revision: str | None) -> bool:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(path, revision=revision).model_type in BERT_LIKE


@dataclass(frozen=True)
class HeadSettings:
    """How an encoder becomes a classifier. `frozen_layers` counts lower layers that keep their weights, embeddings included."""

    classes: int = 5
    pooling: str = "mean"  # "mean" over tokens, or "cls"
    frozen_layers: int = 0
    dropout: float = 0.1


class Classifier(nn.Module):
    """An encoder, a pooled embedding, and a linear head.

    `lower` (embeddings and the frozen layers) never changes in training, so its output is computed once a text and kept;
    `forward` takes that output when layers are frozen, else token ids.
    """

    def __init__(self, encoder: nn.Module, settings: HeadSettings):
        super().__init__()
        if settings.frozen_layers and encoder.config.model_type not in BERT_LIKE:
            raise InputError(f"frozen_layers needs a BERT-like encoder, not {encoder.config.model_type!r}: set it to 0")
        self.encoder, self.settings = encoder, settings
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(encoder.config.hidden_size, settings.classes)
        if settings.frozen_layers:
            for module in (encoder.embeddings, *encoder.encoder.layer[: settings.frozen_layers]):
                module.requires_grad_(False)

    @torch.no_grad()
    def lower(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Output of the frozen part: (n, length) ids and mask to (n, length, d)."""
        hidden = self.encoder.embeddings(input_ids=ids)
        for layer in self.encoder.encoder.layer[: self.settings.frozen_layers]:
            hidden = _apply(layer, hidden, mask)
        return hidden

    def embed(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Pooled embeddings (n, d), before dropout and head: what the contrastive losses see."""
        if self.settings.frozen_layers:
            hidden = inputs
            for layer in self.encoder.encoder.layer[self.settings.frozen_layers :]:
                hidden = _apply(layer, hidden, mask)
        else:
            hidden = self.encoder(input_ids=inputs, attention_mask=mask).last_hidden_state
        if self.settings.pooling == "cls":
            return hidden[:, 0]
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (n, classes), pooled embeddings (n, d))."""
        pooled = self.embed(inputs, mask)
        return self.head(self.dropout(pooled)), pooled


def _apply(layer: nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:
    bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
    bias = bias.masked_fill(mask == 0, torch.finfo(hidden.dtype).min)[:, None, None, :]
    return layer(hidden, attention_mask=bias)[0]
