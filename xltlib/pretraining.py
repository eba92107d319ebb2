"""How this project's own small checkpoints are trained: tokenizer, `mini-m2m`, `mini-mbert` (MLM + hard TLM).

Everything follows from `Recipe`s and seeds; nothing here looks at a result of a paper's experiment. The encoder
trains until sentence retrieval on validation text levels off (`levelled_off`); the translator trains for a fixed
number of steps.
"""

import copy
import json
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import BertConfig, BertForMaskedLM, M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

from xltlib.corpora.pretraining_texts import GENERATIONS, Reviews, ReviewsAndStatements
from xltlib.errors import finite, strings

M2M_CODES = FAIRSEQ_LANGUAGE_CODES["m2m100"]
VOCABULARY = 6000


@dataclass(frozen=True)
class Recipe:
    """The settings of one checkpoint's training. `tokens` is the budget of one batch; the learning rate warms up, stays
    constant for at most `steps`, then falls linearly to a twentieth over `cooldown` steps. `pairs`: how many pairs of
    languages are drawn for each parallel text; `generation`: of the text (see `corpora.pretraining_texts`);
    `vocabulary`: pieces asked for.

    `bfloat16`: matrix products in bfloat16, weights and sums in float32. On a processor with avx512_bf16 a step then
    takes about three quarters of the time, but only with plain ("eager") attention: the backward pass of PyTorch's
    fused attention is slow in bfloat16 there."""

    steps: int
    learning_rate: float
    tokens: int
    bitext: int
    monolingual: int = 0
    warmup: int = 300
    cooldown: int = 600
    seed: int = 1
    evaluate_every: int = 400
    width: int = 128
    layers: int = 4
    pairs: int = 2
    bfloat16: bool = True
    generation: int = 1
    vocabulary: int = VOCABULARY

    @property
    def texts(self) -> Reviews | ReviewsAndStatements:
        """What it is trained on."""
        return GENERATIONS[self.generation]


TRANSLATOR = Recipe(steps=2400, cooldown=400, learning_rate=2e-3, tokens=2000, bitext=16000, layers=3)
UNDERTRAINED_STEPS = 800
"""The under-trained translator is `mini-m2m` itself, stopped at this step."""
ENCODER = Recipe(steps=22000, cooldown=2000, learning_rate=1.5e-3, tokens=2000, bitext=16000, pairs=4, monolingual=5000)

RECIPES = {
    "mini-m2m": TRANSLATOR,
    "mini-mbert": ENCODER,
    "mini-m2m-2": replace(TRANSLATOR, generation=2, vocabulary=9000, steps=5000, cooldown=800, bitext=24000, pairs=3),
    "mini-mbert-2": replace(ENCODER, generation=2, vocabulary=9000, bitext=24000),
    "mini-m2m-4": replace(TRANSLATOR, generation=4, vocabulary=4000, steps=2800, cooldown=600, bitext=40000, pairs=1),
    "mini-bert-en": replace(
        ENCODER, generation=3, vocabulary=4000, bitext=0, monolingual=40000, steps=6000, cooldown=1000
    ),
}
"""What `xlt models build` can make. A number in a name is the generation; the first has none."""


def train_sentencepiece(
    folder: Path, lines: list[str], size: int = VOCABULARY, **options
) -> sentencepiece.SentencePieceProcessor:
    """Train a unigram SentencePiece model on lines; one thread, so that it is the same every time. `options` go to
    SentencePiece's trainer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=size,
        character_coverage=1.0, num_threads=1, model_type="unigram", minloglevel=2, hard_vocab_limit=False,
        shuffle_input_sentence=False, max_sentence_length=10000, **options,
    )  # fmt: skip
    (folder / "lines.txt").unlink()
    (folder / "sentencepiece.bpe.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))


def build_m2m_tokenizer(folder: Path, spm: sentencepiece.SentencePieceProcessor) -> M2M100Tokenizer:
    """M2M100's tokenizer over our pieces, with all hundred language codes registered (fewer make ids disagree,
    silently)."""
    pieces = [
        spm.id_to_piece(i) for i in range(spm.get_piece_size()) if not spm.is_control(i) and not spm.is_unknown(i)
    ]
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    tokenizer = M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"),
        additional_special_tokens=[f"__{code}__" for code in M2M_CODES], model_max_length=128,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_bert_tokenizer(folder: Path, spm: sentencepiece.SentencePieceProcessor):
    """A fast tokenizer with the same pieces and scores, in BERT's format ([CLS] text [SEP])."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [(spm.id_to_piece(i), spm.get_score(i)) for i in range(spm.get_piece_size())]
    pieces = [pair for i, pair in enumerate(pieces) if not spm.is_control(i) and not spm.is_unknown(i)]
    tokenizer = Tokenizer(models.Unigram([(s, 0.0) for s in specials] + pieces, unk_id=1))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=128,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def small_m2m(vocabulary: int, recipe: Recipe) -> M2M100ForConditionalGeneration:
    """An untrained M2M100 of this recipe's size. The vocabulary has room for 100 language codes and 8 unused rows, as
    upstream."""
    width = recipe.width
    return M2M100ForConditionalGeneration(M2M100Config(
        vocab_size=vocabulary, d_model=width, encoder_layers=recipe.layers, decoder_layers=recipe.layers,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width,
        encoder_layerdrop=0.0, decoder_layerdrop=0.0, dropout=0.1, attention_dropout=0.0, max_position_embeddings=256,
        max_length=128, attn_implementation="eager",
    ))  # fmt: skip


def small_bert(vocabulary: int, recipe: Recipe) -> BertForMaskedLM:
    """An untrained BERT of this recipe's size, without dropout: it sees too little text to overfit."""
    return BertForMaskedLM(BertConfig(
        vocab_size=vocabulary, hidden_size=recipe.width, num_hidden_layers=recipe.layers, num_attention_heads=4,
        intermediate_size=4 * recipe.width, max_position_embeddings=160, type_vocab_size=2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, pad_token_id=0, attn_implementation="eager",
    ))  # fmt: skip


def token_batches(lengths: list[int], budget: int, seed: int, skip: int = 0) -> Iterator[list[int]]:
    """Endless batches of indices with similar lengths and about `budget` tokens each, shuffled anew each epoch.

    The sequence depends on the seed alone, so that a resumed run skips what it has done. The last batch of an epoch,
    which is not full and has the longest texts, is left out."""
    rng = random.Random(seed)
    while True:
        order = sorted(range(len(lengths)), key=lambda i: lengths[i] + 3 * rng.random())
        batches, batch, longest = [], [], 0
        for i in order:
            longest = max(longest, lengths[i])
            if batch and longest * (len(batch) + 1) > budget:
                batches.append(batch)
                batch, longest = [], lengths[i]
            batch.append(i)
        rng.shuffle(batches)
        yield from batches[skip:]
        skip = max(0, skip - len(batches))


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    """Rows of ids as a (len(rows), longest) tensor, filled up with `value` on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def adamw(parameters: Iterable[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    """AdamW as all our pretraining uses it."""
    return torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)


class Training:
    """AdamW, or the given optimisers, over a recipe's schedule: each one's learning rate rises and falls in proportion.
    Its state is kept in `state` (safetensors) at every evaluation, and a run that was killed goes on from there with
    the same numbers: batches, masks and dropout depend on seed and step alone. It computes where the model lies; a
    state that was written on a GPU can be read on a processor, and the other way round. Diverged, before anything is
    learned from it or kept, when a loss or a gradient is not finite."""

    def __init__(
        self, model: torch.nn.Module, recipe: Recipe, state: Path, optimisers: Sequence[torch.optim.Optimizer] = ()
    ):
        self.model, self.recipe, self.state = model, recipe, state
        self.parameters = list(model.parameters())
        self.device = self.parameters[0].device
        self.optimisers = list(optimisers) or [adamw(self.parameters, recipe.learning_rate)]
        self.highest = [group["lr"] for group in self._groups()]
        self.step, self.stop, self.losses, self.curve = 0, recipe.steps + recipe.cooldown, [], []
        self.seconds, self.start = 0.0, time.time()
        if state.exists():
            self._resume()

    def rate(self) -> float:
        """The share of the highest learning rate at the next step."""
        left = (self.stop - self.step) / self.recipe.cooldown
        return min((self.step + 1) / self.recipe.warmup, 1.0, max(left, 0.05))

    def run(self, loss_of: Callable[[], torch.Tensor], evaluate: Callable[[int], bool] = lambda step: False) -> None:
        """Train to the end; `evaluate(step)` returns True when the cooldown shall begin."""
        with tqdm(total=self.stop, initial=self.step, desc=self.state.stem, mininterval=20) as bar:
            while self.step < self.stop:
                torch.manual_seed(self.recipe.seed * 10**6 + self.step)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
                    loss = loss_of()
                self._step(loss.float())
                bar.update()
                if self.step % self.recipe.evaluate_every == 0:
                    if evaluate(self.step):
                        self.stop = min(self.stop, self.step + self.recipe.cooldown)
                    self._save()
        self.state.unlink(missing_ok=True)

    def minutes(self) -> float:
        """Wall time of all parts of this training, up to now."""
        return round((self.seconds + time.time() - self.start) / 60, 1)

    def _groups(self) -> list[dict]:
        return [group for optimiser in self.optimisers for group in optimiser.param_groups]

    def _step(self, loss: torch.Tensor) -> None:
        for group, highest in zip(self._groups(), self.highest, strict=True):
            group["lr"] = highest * self.rate()
        self.losses.append(self._finite(loss.item(), "loss"))
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self._finite(torch.nn.utils.clip_grad_norm_(self.parameters, 1.0).item(), "gradient's norm")
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1

    def _finite(self, value: float, what: str) -> float:
        recipe = self.recipe
        about = f"{self.state.stem}, seed {recipe.seed}, learning rate {recipe.learning_rate:g}"
        return finite(value, what, f"step {self.step + 1} of {self.stop}", about)

    def _save(self) -> None:
        tensors = {f"parameter.{i}": p.detach() for i, p in enumerate(self.parameters)}
        for k, optimiser in enumerate(self.optimisers):
            for i, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{k}.{i}.{name}": tensor for name, tensor in moments.items()}
        facts = {"step": self.step, "stop": self.stop, "losses": self.losses[-100:], "curve": self.curve}
        facts["seconds"] = self.seconds + time.time() - self.start
        self.state.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, self.state.with_suffix(".tmp"), {"facts": json.dumps(facts)})
        self.state.with_suffix(".tmp").replace(self.state)

    def _resume(self) -> None:
        with safe_open(self.state, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            for i, parameter in enumerate(self.parameters):
                parameter.data.copy_(file.get_tensor(f"parameter.{i}"))
            states: list[dict] = [{} for _ in self.optimisers]
            for key in file.keys():  # noqa: SIM118 - a file of tensors is no dict
                if key.startswith("optimiser."):
                    _, k, i, name = key.split(".")
                    states[int(k)].setdefault(int(i), {})[name] = file.get_tensor(key)
        for optimiser, state in zip(self.optimisers, states, strict=True):
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
        self.step, self.losses, self.curve = facts["step"], facts["losses"], facts["curve"]
        self.seconds = facts["seconds"]
        self.stop = min(self.stop, facts["stop"])


def translation_pairs(recipe: Recipe) -> list[tuple[str, str, str, str]]:
    """(source language, source text, target language, target text), `recipe.pairs` random directions an entry."""
    rng, pairs = random.Random(recipe.seed), []
    for entry in recipe.texts.bitext("pretraining", recipe.bitext):
        own = entry.pop("own", None)
        for _ in range(recipe.pairs):
            source, target = rng.sample(list(entry), 2)
            pairs.append((source, entry[source], target, entry[target]))
        if own:
            target = rng.choice([code for code in entry if code != own[0]])
            pairs.append((*own, target, entry[target]))
    return pairs


def train_translator(folder: Path, recipe: Recipe, state: Path, early: Path | None = None) -> dict:
    """Train M2M100 on the bitext, each pair in both directions over time; save model and tokenizer; return facts for
    the card.

    `early`: where the model of step UNDERTRAINED_STEPS is saved, with the same tokenizer.
    """
    torch.manual_seed(recipe.seed)
    spm = train_sentencepiece(folder, recipe.texts.lines(), recipe.vocabulary)
    tokenizer = build_m2m_tokenizer(folder, spm)
    training = Training(small_m2m(len(tokenizer.encoder) + 108, recipe), recipe, state)
    model, pairs = training.model.train(), translation_pairs(recipe)
    ids = {code: tokenizer.get_lang_id(code) for code in recipe.texts.languages}
    encode = lambda code, text: [ids[code], *tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)), 2]  # noqa: E731
    rows = [(encode(a, s), encode(b, t)) for a, s, b, t in pairs]
    batches = token_batches([max(len(s), len(t)) for s, t in rows], recipe.tokens, recipe.seed, training.step)

    def loss_of() -> torch.Tensor:
        rng = random.Random(training.step)
        chosen = [rows[i] if rng.random() < 0.5 else rows[i][::-1] for i in next(batches)]
        source, target = pad([s for s, _ in chosen], 1), pad([[2, *t] for _, t in chosen], 1)
        seen, wanted = target[:, :-1], target[:, 1:]
        hidden = model.model(
            source, attention_mask=source.ne(1).long(), decoder_input_ids=seen, use_cache=False
        ).last_hidden_state
        real = wanted.ne(1)
        return cross_entropy(model.lm_head(hidden[real]), wanted[real], label_smoothing=0.1)

    def evaluate(step: int) -> bool:
        if step == UNDERTRAINED_STEPS and early:
            build_m2m_tokenizer(early, spm_copy(folder, early))
            save(copy.deepcopy(model), early)
        return False

    training.run(loss_of, evaluate)
    save(model, folder)
    return {
        "minutes": training.minutes(),
        "loss": round(float(np.mean(training.losses[-100:])), 3),
        "pairs": len(pairs),
    }


def spm_copy(source: Path, target: Path) -> sentencepiece.SentencePieceProcessor:
    """Copy a SentencePiece model into another checkpoint's folder and load it."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "sentencepiece.bpe.model", target)
    return sentencepiece.SentencePieceProcessor(model_file=str(target / "sentencepiece.bpe.model"))


def mask_tokens(
    ids: torch.Tensor, share: torch.Tensor, mask_id: int, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """BERT's corruption of (n, length) ids: `share` is each position's chance; 80 % [MASK], 10 % random, 10 % kept.
    Ids < 5 stay."""
    chosen = (torch.rand(ids.shape) < share) & ids.ge(5)
    kind = torch.rand(ids.shape)
    masked = torch.where(chosen & (kind < 0.8), mask_id, ids)
    random_ids = torch.randint(5, vocabulary, ids.shape)
    return torch.where(chosen & (kind >= 0.9), random_ids, masked), chosen


def mlm_row(row: list[int]) -> tuple[list[int], list[int], list[float]]:
    """Ids, positions and mask shares (20 %) of a monolingual text."""
    return [2, *row, 3], list(range(len(row) + 2)), [0.2] * (len(row) + 2)


def hard_tlm_row(a: list[int], b: list[int], rng: random.Random) -> tuple[list[int], list[int], list[float]]:
    """Ids, positions and mask shares of a pair: half of one side is masked, nothing of the other, and positions start
    anew.

    With plain TLM (Conneau & Lample 2019, 15 % of both sides) a small model fills gaps from the same side and never
    aligns.
    """
    hidden = 0.5, 0.0
    if rng.random() < 0.5:
        hidden = hidden[::-1]
    ids = [2, *a, 3, *b, 3]
    positions = [*range(len(a) + 2), *range(1, len(b) + 2)]
    return ids, positions, [hidden[0]] * (len(a) + 2) + [hidden[1]] * (len(b) + 1)


@torch.no_grad()
def embed(model, tokenizer, texts: list[str], batch: int = 100) -> torch.Tensor:
    """Mean-pooled last hidden states, L2-normalised, (len(texts), width)."""
    out, texts = [], strings(texts)
    for i in range(0, len(texts), batch):
        rows = tokenizer(
            texts[i : i + batch], padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False
        )
        hidden = model(**rows).last_hidden_state
        weights = rows["attention_mask"].unsqueeze(-1)
        out.append((hidden * weights).sum(1) / weights.sum(1))
    return torch.nn.functional.normalize(torch.cat(out), dim=-1)


def retrieval_accuracy(model, tokenizer, entries: list[dict[str, str]]) -> dict[str, float]:
    """P@1 of finding a text's English rendering (and back, averaged) by cosine, per language: among all entries that
    hold the language."""
    codes = [code for code in max(entries, key=len) if code not in ("en", "own")]
    english = embed(model, tokenizer, [entry["en"] for entry in entries])
    result = {}
    for code in codes:
        rows = [i for i, entry in enumerate(entries) if code in entry]
        similarity = english[rows] @ embed(model, tokenizer, [entries[i][code] for i in rows]).T
        gold = torch.arange(len(rows))
        hits = [(similarity.argmax(dim) == gold).float().mean().item() for dim in (0, 1)]
        result[code] = sum(hits) / 2
    return result


def levelled_off(history: list[float], window: int = 10, gain: float = 0.01) -> bool:
    """The stopping rule: the mean of the last `window` retrieval accuracies is less than `gain` above that of the
    window before, after the accuracy has left chance (0.2).

    The window is long because at a constant learning rate single measurements jump by about 0.03: over four of them
    that noise alone is larger than `gain`.
    """
    if len(history) < 2 * window or history[-1] < 0.2:
        return False
    return float(np.mean(history[-window:]) - np.mean(history[-2 * window : -window])) < gain


def encoder_rows(tokenizer, recipe: Recipe) -> tuple[list[list[int]], list[tuple[list[int], list[int]]]]:
    """Token ids of the monolingual texts and of the parallel pairs (`recipe.pairs` an entry)."""
    rng = random.Random(recipe.seed)
    encode = lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []  # noqa: E731
    texts = recipe.texts
    mono = [row for code in texts.languages for row in encode(texts.originals(code, recipe.monolingual))]
    left, right = [], []
    for entry in recipe.texts.bitext("pretraining", recipe.bitext):
        entry.pop("own", None)
        for _ in range(recipe.pairs):
            a, b = rng.sample(list(entry), 2)
            left.append(entry[a])
            right.append(entry[b])
    return mono, list(zip(encode(left), encode(right), strict=True))


def train_encoder(folder: Path, recipe: Recipe, state: Path, log: Callable[[dict], None] = print) -> dict:
    """Train BERT with MLM and hard-TLM batches (1:2) until retrieval levels off; save; return facts for the card.

    Without parallel text (an encoder of one language): MLM alone, for the recipe's steps."""
    torch.manual_seed(recipe.seed)
    tokenizer = build_bert_tokenizer(folder, train_sentencepiece(folder, recipe.texts.lines(), recipe.vocabulary))
    (folder / "sentencepiece.bpe.model").unlink()
    training = Training(small_bert(len(tokenizer), recipe), recipe, state)
    model, (mono, pairs) = training.model, encoder_rows(tokenizer, recipe)
    skip = -(-training.step // 3) if pairs else training.step
    mono_batches = token_batches([len(row) + 2 for row in mono], recipe.tokens, recipe.seed, skip)
    pair_batches = token_batches(
        [len(a) + len(b) + 3 for a, b in pairs], recipe.tokens, recipe.seed, training.step - skip
    )
    validation = list(recipe.texts.bitext("validation", 300, own=0.0))

    def loss_of() -> torch.Tensor:
        rng = random.Random(training.step)
        if training.step % 3 == 0 or not pairs:
            rows = [mlm_row(mono[i]) for i in next(mono_batches)]
        else:
            rows = [hard_tlm_row(*pairs[i], rng) for i in next(pair_batches)]
        ids, positions, share = pad([r[0] for r in rows], 0), pad([r[1] for r in rows], 0), pad([r[2] for r in rows], 0)
        masked, chosen = mask_tokens(ids, share, 4, len(tokenizer))
        first = torch.zeros_like(ids)  # token types are given because BERT's default is cut at its longest position
        hidden = model.bert(masked, ids.ne(0).long(), first, positions).last_hidden_state
        return cross_entropy(model.cls(hidden[chosen]), ids[chosen])

    def evaluate(step: int) -> bool:
        if not pairs:
            training.curve.append({"step": step, "loss": float(np.mean(training.losses[-100:]))})
            log(training.curve[-1])
            return False
        model.eval()
        accuracy = retrieval_accuracy(model.bert, tokenizer, validation)
        model.train()
        point = {
            "step": step,
            "mean": float(np.mean(list(accuracy.values()))),
            "loss": float(np.mean(training.losses[-100:])),
        } | accuracy
        training.curve.append(point)
        log(point)
        return levelled_off([point["mean"] for point in training.curve])

    training.run(loss_of, evaluate)
    save(model, folder)
    facts = {
        "minutes": training.minutes(),
        "steps": training.step,
        "loss": round(float(np.mean(training.losses[-100:])), 3),
    }
    return facts | {"curve": training.curve}


def save(model, folder: Path) -> None:
    """Save weights as fp16 safetensors; the loader makes them float32 again."""
    model.half().save_pretrained(folder, safe_serialization=True)
