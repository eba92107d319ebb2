"""The models of paper 4 under equal conditions: double stacks (encoder and decoder) and single stacks of one family.

All are built from mBART's layers (pre-norm) or BART's (post-norm), so that a layer is the same in all five. A double
stack has half of the layers on each side; its decoder's layers also attend to the encoder, so its feed-forward width is
smaller by the rule of `feed_forward`, and all five have the same number of parameters that are no embeddings.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xltlib.errors import InputError
from xltlib.objectives import IGNORED, OBJECTIVES, PAD, Batch

POOLINGS = ("mean", "sum", "sum with pads")
"""How a text's states become one: their mean; their sum, as released for double stacks; the sum with padding positions,
as released for single stacks, where a text's feature depends on what it is batched with."""


@dataclass(frozen=True)
class StackSettings:
    """Sizes of a model: width, layers in all, heads, vocabulary; `pre_norm`: layer norm before each part (mBART) or
    after it (BART). The paper has 512, 12, 8, and a feed-forward width of 4 times the model's in single stacks."""

    width: int = 96
    layers: int = 6
    heads: int = 4
    vocabulary: int = 6000
    positions: int = 512
    pre_norm: bool = True
    dropout: float = 0.1


def feed_forward(settings: StackSettings, double: bool) -> int:
    """The feed-forward width: 4d in a single stack of L layers, 3d in a double stack of L/2 + L/2.

    Weights of a layer: attention 4d^2, feed-forward 2df. Single: L (4d^2 + 8d^2) = 12 L d^2. Double:
    L/2 (4d^2 + 2df) + L/2 (8d^2 + 2df) = 6 L d^2 + 2 L d f, which is 12 L d^2 for f = 3d.
    """
    return (3 if double else 4) * settings.width


class Stack(nn.Module):
    """A model for one objective: `loss` for pretraining, `states` for what comes after."""

    def __init__(self, objective: str, settings: StackSettings):
        super().__init__()
        if settings.layers % 2:
            raise InputError(f"{settings.layers} layers cannot be halved for a double stack: use an even number")
        from transformers import BartConfig, MBartConfig
        from transformers.models.bart import modeling_bart
        from transformers.models.mbart import modeling_mbart

        self.objective, self.settings = OBJECTIVES[objective], settings
        # "eager": on processors the backward pass of the fused attention is slow in bfloat16
        config_class = MBartConfig if settings.pre_norm else BartConfig
        family, prefix = (modeling_mbart, "MBart") if settings.pre_norm else (modeling_bart, "Bart")
        double = self.objective.double
        layers = settings.layers // 2 if double else settings.layers
        inner = feed_forward(settings, double)
        self.config = config_class(
            vocab_size=settings.vocabulary, d_model=settings.width, encoder_layers=layers, decoder_layers=layers,
            encoder_attention_heads=settings.heads, decoder_attention_heads=settings.heads, encoder_ffn_dim=inner,
            decoder_ffn_dim=inner, max_position_embeddings=settings.positions, dropout=settings.dropout,
            attention_dropout=0.0, activation_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0,
            scale_embedding=True, pad_token_id=PAD, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
            forced_eos_token_id=None, is_encoder_decoder=double, attn_implementation="eager",
        )  # fmt: skip
        self.shared = nn.Embedding(settings.vocabulary, settings.width, PAD)
        nn.init.normal_(self.shared.weight, std=settings.width**-0.5)
        with torch.no_grad():
            self.shared.weight[PAD].zero_()
        reads_all = double or not self.objective.causal
        self.encoder = getattr(family, f"{prefix}Encoder")(self.config) if reads_all else None
        self.decoder = getattr(family, f"{prefix}Decoder")(self.config) if self.objective.causal else None
        for part in (self.encoder, self.decoder):
            if part is not None:
                part.set_input_embeddings(self.shared)
                _scaled(part, settings.width)
        if not double and self.decoder is not None:
            for layer in self.decoder.layers:  # a single stack has no encoder to attend to
                del layer.encoder_attn, layer.encoder_attn_layer_norm

    def forward(self, batch: Batch) -> Tensor:
        """Last hidden states (n, length, width) of what writes: the decoder, or the single stack."""
        if not self.objective.double:
            return self.states(batch.ids)
        memory = self.states(batch.source)
        return self.decoder(
            input_ids=batch.ids, attention_mask=batch.ids.ne(PAD).long(), encoder_hidden_states=memory,
            encoder_attention_mask=batch.source.ne(PAD).long(), use_cache=False,
        ).last_hidden_state  # fmt: skip

    def loss(self, batch: Batch, compiled: Callable[..., Tensor] | None = None) -> Tensor:
        """Mean cross-entropy of the labels; the output embedding is the input embedding. `compiled`: in place of
        `word_loss`, the same compiled."""
        hidden, wanted = self(batch), batch.labels
        chosen = wanted.ne(IGNORED)
        return (compiled or word_loss)(hidden[chosen], self.shared.weight, wanted[chosen])

    def states(self, ids: Tensor) -> Tensor:
        """What downstream tasks see: the encoder's output in a double stack, the last hidden state before the
        vocabulary in a single one; (n, length, width)."""
        mask = ids.ne(PAD).long()
        if self.encoder is not None:
            return self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state


def word_loss(hidden: Tensor, embeddings: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of the pieces `wanted` (n) after `hidden` (n, width); `embeddings` (vocabulary, width)."""
    return cross_entropy(hidden @ embeddings.T, wanted)


def _scaled(part: nn.Module, width: int) -> None:
    """mBART scales embeddings by the square root of the width; replacing its embedding would lose that."""
    part.embed_scale = width**0.5
    if hasattr(part.embed_tokens, "embed_scale"):
        part.embed_tokens.embed_scale = part.embed_scale


def size(model: Stack) -> int:
    """Parameters that are no embeddings of tokens or positions."""
    left_out = {id(p) for name, p in model.named_parameters() if "embed" in name and "layernorm" not in name}
    left_out.add(id(model.shared.weight))
    return sum(p.numel() for p in model.parameters() if id(p) not in left_out)


def pooled(states: Tensor, ids: Tensor, pooling: str) -> Tensor:
    """A text's states as one vector, (n, width); see POOLINGS."""
    if pooling == "sum with pads":
        return states.sum(1)
    mask = ids.ne(PAD).unsqueeze(-1).to(states.dtype)
    total = (states * mask).sum(1)
    if pooling == "sum":
        return total
    if pooling != "mean":
        raise InputError(f"unknown pooling {pooling!r}: use one of {', '.join(POOLINGS)}")
    return total / mask.sum(1)


def save(model: Stack, folder: Path) -> None:
    """Write a model's weights in half precision (safetensors) and its settings (config.json)."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
    save_file(tensors, folder / "model.safetensors")
    settings = {"objective": model.objective.name} | asdict(model.settings)
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Stack:
    """A saved model in evaluation mode, in float32. InputError names what is missing or does not fit."""
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = Stack(settings.pop("objective"), StackSettings(**settings))
        tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        missing, spare = model.load_state_dict(tensors, strict=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: no model of paper 4 that can be loaded ({reason}); build it again") from None
    parameters = {name for name, _ in model.named_parameters()}
    if spare or parameters & set(missing):
        odd = sorted({*spare, *(parameters & set(missing))})[0]
        raise InputError(f"{folder}: weights do not fit config.json ({odd}); build it again")
    return model.eval()
