"""Our optimisation step of the full MUSC loss against the released way of computing it, on one batch, in CPU time.

    python benchmarks/musc.py [--rounds 5] [--pairs 32] [--encoder mini-mbert] [--device cuda] [--bfloat16]

A step is forward, backward and AdamW, every layer trainable, of the method "musc" in the preset "released". The texts
are English training reviews and their gold renderings in German; both tokenise beforehand and draw the same alphas. The
batch is one of our loop's batches by length, the one of median width in an epoch of 1,000 pairs. The released way draws
its batches at random, but as it pads every one to 128, that costs it the same. The ratio on a batch drawn at random,
whose width the longest of its texts sets, is printed for information.

Ours is `musc_training.pair_loss`: both languages in one pass, all mixtures in a second, padded to the batch's longest
text. The released way, restated from its description, pads texts to 128 tokens; sources, targets, mixed sources and
mixed targets each take their own pass through the whole encoder, and each contrastive term its own similarities. On
both sides alike, and not as released: mean pooling in place of [CLS], AdamW, and |P(i)| without the 1e-4 added to it.

Padding changes no value. Positions that neither text of a mixture has are outside the union mask, for attention and
pooling; one that a single text has mixes in the embedding of [PAD] at that position, in both ways. So loss and
gradients of the first step must agree to TOLERANCE; bfloat16 has its own.

A third ratio, for information, has lower layers frozen, as the course does at mini scale: ours has their output for
plain texts, computed once in half precision (TOLERANCE_FROZEN); the released way runs them in each pass.

Rounds are interleaved in one process, each contestant with its own model. Time is CPU time of one thread; on cuda, wall
time up to the end of the device's work. Exit 1 when values differ or the ratio is below FLOOR.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from xltlib.corpora import embedded
from xltlib.models import BERT_LIKE, Classifier, HeadSettings, load_encoder, load_tokenizer
from xltlib.musc_training import PRESETS, PairData, PairSettings, pair_loss, projector
from xltlib.scales import MUSC_MINI
from xltlib.training import encode, length_batches

FLOOR = 2.0
TOLERANCE, TOLERANCE_FROZEN, TOLERANCE_BFLOAT16 = 1e-4, 5e-3, 5e-2
POOL, LENGTH, STEPS = 1000, 128, 3
"""Reviews of an epoch; tokens a text in the released way; optimisation steps a contestant in each round."""
TEMPERATURE, SCALE, SHARE, WEIGHT = 0.3, 0.3, 0.5, 0.1
"""As released: tau, the factor on contrastive terms, each language's share of the classification terms, lambda."""
Contestant = tuple[Classifier, Callable[[random.Random], Tensor]]


def new_classifier(options: argparse.Namespace, frozen: int) -> Classifier:
    """The encoder with a head and a projector of the same first weights in each call; evaluation mode: no dropout."""
    encoder = load_encoder(options.encoder, "eager" if options.bfloat16 and options.device == "cpu" else None)
    torch.manual_seed(0)
    model = Classifier(encoder, HeadSettings(frozen_layers=frozen, dropout=0.0, bfloat16=options.bfloat16))
    model.projector = projector(model.head.in_features)
    return model.eval().to(options.device)


def ours(texts: list[str], labels: list[int], options: argparse.Namespace, frozen: int) -> Contestant:
    """xltlib: the features of frozen layers, if any, are computed here, before the clock runs."""
    model, n = new_classifier(options, frozen), len(labels)
    pairs = [(i, n + i) for i in range(n)]
    encoded = encode(texts, load_tokenizer(options.encoder), model, limit=LENGTH)
    data = PairData(encoded, torch.tensor(labels * 2), {"de": pairs})
    settings = PairSettings("musc", PRESETS["released"], PRESETS["released"].weight)
    return model, lambda rng: pair_loss(model, data, pairs, settings, rng)


def encode_side(model: Classifier, ids: Tensor, mask: Tensor, alpha: float | None = None) -> Tensor:
    """One pass of one side through the whole encoder, mixed with itself in reverse order if `alpha` is given."""
    mask = mask if alpha is None else torch.maximum(mask, mask.flip(0))
    mix = lambda _, inputs, e: e if alpha is None else alpha * e + (1 - alpha) * e.flip(0)  # noqa: E731
    precision = torch.autocast(ids.device.type, torch.bfloat16, enabled=model.settings.bfloat16)
    with precision, model.encoder.embeddings.register_forward_hook(mix):
        hidden = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    return (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def contrast(first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
    """SupCon over two sets of vectors with the same labels: every similarity, and the logarithm inside the mean."""
    z, y = torch.cat([first, second]), torch.cat([labels, labels])
    z = z / z.norm(dim=1, keepdim=True)
    similarities = torch.exp(z @ z.T / TEMPERATURE)
    others = 1 - torch.eye(len(z), device=z.device)
    positives = (y[:, None] == y[None, :]).float() * others
    logs = torch.log(similarities / (similarities * others).sum(1, keepdim=True))
    return -((logs * positives).sum(1) / positives.sum(1)).mean()


def released(texts: list[str], labels: list[int], options: argparse.Namespace, frozen: int) -> Contestant:
    """The released way; see the top of this file."""
    model, n = new_classifier(options, frozen), len(labels)
    fixed = {"padding": "max_length", "truncation": True, "max_length": LENGTH, "return_tensors": "pt"}
    batch = load_tokenizer(options.encoder)(texts, **fixed).to(options.device)
    source, target = ((batch["input_ids"][s], batch["attention_mask"][s]) for s in (slice(n), slice(n, None)))
    y = torch.tensor(labels, device=options.device)

    def loss(rng: random.Random) -> Tensor:
        classification, plain, mixed = 0.0, [], []
        alphas = rng.random(), rng.random()
        for side in (source, target):
            pooled = encode_side(model, *side)
            classification += SHARE * cross_entropy(model.head(pooled), y)
            plain.append(model.projector(pooled))
        for side, a in zip((source, target), alphas, strict=True):
            pooled = encode_side(model, *side, a)
            logits = model.head(pooled)
            classification += SHARE * (a * cross_entropy(logits, y) + (1 - a) * cross_entropy(logits, y.flip(0)))
            mixed.append(model.projector(pooled))
        total = contrast(*plain, y)
        for mixtures, other, a in zip(mixed, reversed(plain), alphas, strict=True):
            total += a * contrast(mixtures, other, y) + (1 - a) * contrast(mixtures, other.flip(0), y.flip(0))
        return (1 - WEIGHT) * classification + WEIGHT * SCALE * total

    return model, loss


def first_step(contestant: Contestant) -> dict[str, Tensor]:
    """Loss and gradients with the first alphas, before any update."""
    model, loss = contestant[0], contestant[1](random.Random(0))
    loss.backward()
    every = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return {"loss": loss.detach(), "gradient of the head": model.head.weight.grad, "of everything": every}


def differ(a: Contestant, b: Contestant, tolerance: float) -> bool:
    """Whether loss or gradients differ by more than the tolerance, relative to their norm; prints them."""
    first, second = first_step(a), first_step(b)
    apart = {name: float((first[name] - second[name]).norm() / second[name].norm()) for name in first}
    values = ", ".join(f"{name} {value:.1e}" for name, value in apart.items())
    print(f"loss {first['loss']:.6f}; relative differences: {values} (at most {tolerance})")
    return not max(apart.values()) <= tolerance  # not a number differs too


def timed(contestant: Contestant, optimiser: torch.optim.Optimizer) -> float:
    """Seconds a step."""
    cuda = contestant[0].head.weight.is_cuda
    clock, wait = (time.perf_counter, torch.cuda.synchronize) if cuda else (time.process_time, lambda: None)
    wait()
    rng, start = random.Random(1), clock()
    for _ in range(STEPS):
        optimiser.zero_grad(set_to_none=True)
        contestant[1](rng).backward()
        optimiser.step()
    wait()
    return (clock() - start) / STEPS


def race(name: str, plain: Contestant, fast: Contestant, options: argparse.Namespace) -> float:
    """Time of the released way over ours: the median of the rounds."""
    adam = lambda model: torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)  # noqa: E731
    runs, ratios = [(one, adam(one[0])) for one in (plain, fast)], []
    for run in runs:  # first steps allocate
        timed(*run)
    for number in range(options.rounds):
        slow, quick = (timed(*run) for run in runs)
        ratios.append(slow / quick)
        times = f"released way {1000 * slow:.0f} ms a step, ours {1000 * quick:.0f} ms"
        print(f"round {number + 1}, {name}: {times}, ratio {ratios[-1]:.2f}", flush=True)
    return statistics.median(ratios)


def batches(options: argparse.Namespace) -> dict[str, list[int]]:
    """Numbers of reviews: of the batch of median width among an epoch's batches by length, and of a random batch."""
    tokenizer, reviews = load_tokenizer(options.encoder), embedded.reviews("en", "train", POOL)
    width = lambda texts: [len(ids) for ids in tokenizer(texts, truncation=True, max_length=LENGTH).input_ids]  # noqa: E731
    sides = width([r.text for r in reviews]), width([embedded.gold(r, "de", "train") for r in reviews])
    widths = [max(pair) for pair in zip(*sides, strict=True)]
    epoch = [b for b in length_batches(widths, options.pairs, random.Random(0)) if len(b) == options.pairs]
    epoch.sort(key=lambda batch: max(widths[i] for i in batch))
    return {"by length": epoch[len(epoch) // 2], "at random": random.Random(0).sample(range(POOL), options.pairs)}


def contents(chosen: list[int]) -> tuple[list[str], list[int]]:
    """Sources then targets, and the sources' labels."""
    reviews = [embedded.reviews("en", "train", POOL)[i] for i in chosen]
    texts = [review.text for review in reviews] + [embedded.gold(review, "de", "train") for review in reviews]
    return texts, [review.stars - 1 for review in reviews]


def main() -> int:
    """Compare the values, measure both settings, and print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each (5)")
    parser.add_argument("--pairs", type=int, default=MUSC_MINI.batch, help="pairs of a batch (32)")
    parser.add_argument("--encoder", default="mini-mbert", help="a shipped checkpoint or a folder")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--bfloat16", action="store_true", help="matrix products of both in bfloat16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = batches(options)
    batch = *contents(chosen["by length"]), options
    contestants = released(*batch, 0), ours(*batch, 0)
    lengths = [len(i) for i in load_tokenizer(options.encoder)(batch[0], truncation=True, max_length=LENGTH).input_ids]
    padding = f"padded to {max(lengths)} by ours, to {LENGTH} by the released way: {LENGTH / max(lengths):.2f} times"
    print(f"{options.pairs} pairs, {statistics.fmean(lengths):.0f} tokens a text, {padding}")
    wrong = differ(*contestants, TOLERANCE_BFLOAT16 if options.bfloat16 else TOLERANCE)
    found = race("everything trainable", *contestants, options)
    drawn = *contents(chosen["at random"]), options
    other = race("batch at random", released(*drawn, 0), ours(*drawn, 0), options)
    print(f"on a batch drawn at random: ratio {other:.2f} (for information)")
    config, frozen = contestants[0][0].encoder.config, MUSC_MINI.frozen_layers
    if config.model_type in BERT_LIKE and config.num_hidden_layers > frozen:
        contestants = released(*batch, frozen), ours(*batch, frozen)
        wrong |= differ(*contestants, TOLERANCE_BFLOAT16 if options.bfloat16 else TOLERANCE_FROZEN)
        other = race(f"{frozen} layers frozen", *contestants, options)
        print(f"with {frozen} layers frozen, features computed once: ratio {other:.2f} (for information)")
    print("results differ" if wrong else "results agree")
    print(f"ratio {found:.2f} (median of {options.rounds}; at least {FLOOR})")
    return int(wrong or found < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
