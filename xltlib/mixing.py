"""MixUp at the embedding layer of any Hugging Face encoder, with the union of the attention masks.

Two places to mix (MUSC): its section 4.1 mixes the word embeddings, which enter through `inputs_embeds` ("words"); its
released code mixes the whole output of the embedding layer, positions, layer norm and dropout included ("embeddings").
"""

from collections.abc import Sequence

from torch import Tensor, nn

from xltlib.errors import choice
from xltlib.losses import mixup

LEVELS = ("words", "embeddings")
Part = tuple[slice, float]
"""Rows of a batch that are mixed with each other in reverse order, and the share alpha of the normal order."""


def mix_rows(embedded: Tensor, parts: Sequence[Part]) -> Tensor:
    """An (n, length, d) tensor with the rows of each part replaced by their mixtures; other rows stay."""
    mixed = embedded.clone()
    for rows, alpha in parts:
        mixed[rows] = mixup(embedded[rows], alpha)
    return mixed


def union_mask(mask: Tensor, parts: Sequence[Part]) -> Tensor:
    """An (n, length) attention mask in which a mixture sees every position that either of its two texts has."""
    union = mask.clone()
    for rows, _ in parts:
        union[rows] = mask[rows] | mask[rows].flip(0)
    return union


def mixed_embeddings(encoder: nn.Module, ids: Tensor, parts: Sequence[Part], level: str, **types: Tensor) -> Tensor:
    """Output of a BERT-like encoder's embedding layer, (n, length, d), with mixtures."""
    if choice(level, LEVELS, "level of MixUp") == "words":
        return encoder.embeddings(inputs_embeds=mix_rows(encoder.get_input_embeddings()(ids), parts), **types)
    return mix_rows(encoder.embeddings(input_ids=ids, **types), parts)


def encode_mixed(
    encoder: nn.Module, ids: Tensor, mask: Tensor, parts: Sequence[Part], level: str, **types: Tensor
) -> Tensor:
    """Last hidden states (n, length, d) of any encoder, with mixtures; `mask` is the union (`union_mask`)."""
    if choice(level, LEVELS, "level of MixUp") == "words":
        words = mix_rows(encoder.get_input_embeddings()(ids), parts)
        return encoder(inputs_embeds=words, attention_mask=mask, **types).last_hidden_state
    handle = encoder.embeddings.register_forward_hook(lambda module, inputs, output: mix_rows(output, parts))
    try:
        return encoder(input_ids=ids, attention_mask=mask, **types).last_hidden_state
    finally:
        handle.remove()
