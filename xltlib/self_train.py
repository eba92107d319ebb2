"""Paper 3 (Self-Translate-Train): its training sets as run specs, and what runs one of them.

D_src is English training data; D_tgt the same items in a target language, translated by the model that is tuned
("self"), or by another translator ("external", the paper's gpt-3.5 column); D_cs has the input of one and the output of
the other. Each run starts from the same pre-trained model with fresh LoRA adapters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from xltlib import grid, lora, text_tasks
from xltlib.corpora import problems, questions, statement_text
from xltlib.errors import InputError, choice
from xltlib.generation import generate
from xltlib.models import bfloat16_pays, fingerprint, load_causal, load_tokenizer
from xltlib.records import canonical, naming
from xltlib.scales import BUILD, self_scale
from xltlib.self_translation import SOURCE, TICK, SelfTranslator, marked, signature_of, unmarked
from xltlib.store import Result, RunSpec
from xltlib.text_tasks import Item, items

EXPERIMENT = "self-train"
VERSIONS = {"problems": 1, "questions": 2, "inference": 1}
"""Versions of the method, a task each: raise one when a change of code changes its results; records of another version
are out of date. Questions, 2: spans are scored by SQuAD's and MLQA's rules, and answers are places alone."""
TRAINING = ("D_src", "D_src + D_tgt", "D_src + D_tgt + D_cs", "D_tgt")
"""Training sets. D_src holds the target languages' few-shot samples too (section 5.1)."""
TRANSLATORS = ("self", "external")
SPLITS = ("train", "validation", "test")
FIELDS = {
    "problems": ("problem", "solution"),
    "questions": ("context", "question"),
    "inference": ("premise", "hypothesis"),
}
"""What is translated of an item, each field by itself."""
FROM_SCALE = ("validation_size", "test_size", "steps", "batch", "rank", "alpha", "limit")
GENERATED = 128
"""Prompts that are answered together."""


def spec(
    at: str,
    task: str,
    training: str,
    language: str | None,
    seed: int,
    *,
    translator: str = "self",
    decoder: str | None = None,
    live: bool = False,
    learning_rate: float | None = None,
) -> RunSpec:
    """The spec of one run; None takes the scale's value.

    `language`: the target language; None for D_src, whose one model is tested on all of them. `live`: fewer items
    and steps, for the live languages alone, and without validation items, as nothing is chosen there. InputError for
    unknown names and for parts that do not fit together.
    """
    s = self_scale(at)
    choice(task, text_tasks.TASKS, "task")
    choice(training, TRAINING, "training set")
    choice(translator, TRANSLATORS, "translator")
    if (language is None) != (training == "D_src"):
        raise InputError(f"training set {training!r}: give a target language to all but D_src, and none to D_src")
    targets = s.live_languages if live else s.languages
    languages = list(targets) if language is None else [choice(language, targets, "target language")]
    decoder, translator = decoder or s.main, translator if training != "D_src" else None
    settings = {
        "scale": at, "task": task, "training": training, "languages": languages, "decoder": decoder,
        "translator": translator, "train_size": s.live_size if live else s.train_size,
        "learning_rate": learning_rate or s.rates[0],
        "translations": [signature(at, task, code, translator or "self", decoder) for code in languages],
        **{name: getattr(s, name) for name in FROM_SCALE},
    }  # fmt: skip
    if live:
        settings |= {"validation_size": 0, "steps": s.live_steps, "test_size": s.live_test}
    corpus, version = corpus_name(at, task), version_of(at, task)
    return RunSpec(EXPERIMENT, training, version, corpus, fingerprint(decoder), seed, settings)


def version_of(at: str, task: str) -> int:
    """The method's version at a scale. Problems at scale "paper" are at 2: numbers are read as their language writes
    them, which changes no score of the embedded problems (they have no number of four digits)."""
    return 2 if (at, task) == ("paper", "problems") else VERSIONS[task]


def corpus_name(at: str, task: str) -> str:
    """The corpus with its hash; at scale "paper" the name of the task's test set."""
    if at == "paper":
        return text_tasks.TASKS[task].title
    if task == "questions":
        return questions.corpus_name()
    return (
        f"statements@{statement_text.tasks_hash()}" if task == "inference" else f"problems@{problems.problems_hash()}"
    )


@cache
def decoder_of(name: str):
    """(model, tokenizer) of a decoder, on the GPU where there is one. The model is shared: tune a copy."""
    model = load_causal(name)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), load_tokenizer(name)


# Translations ---------------------------------------------------------------------------------------------------------


@cache
def sample_items(at: str, task: str, code: str) -> tuple[tuple[Item, Item], ...]:
    """The eight (English, target) items of the prompt: written by people in both languages, of the training split, none
    of them among the training items of any size."""
    both = (items(task, c, "samples", at=at) for c in (SOURCE, code))
    return tuple(zip(*both, strict=True))


def samples(at: str, task: str, code: str, field: str) -> list[tuple[str, str]]:
    """The few-shot pairs of a field; a context gives the sentence with the answer, marked: a place with its
    preposition, for the embedded decoders have read no mark after one and lose most marks that stand there."""
    return [tuple(_shown(item, field) for item in pair) for pair in sample_items(at, task, code)]


def _shown(item: Item, field: str) -> str:
    if field != "context":
        return str(item.fields[field])
    place, start = item.span
    return marked(item.fields["context"][place], start - item.lead, start + len(item.target))


def translator_of(at: str, task: str, code: str, field: str, decoder: str) -> SelfTranslator:
    """The decoder as the translator of a field into a language."""
    model, tokenizer = decoder_of(decoder)
    most = dict(self_scale(at).max_tokens)[field]
    shots = samples(at, task, code, field)
    return SelfTranslator(model, tokenizer, fingerprint(decoder), shots, code, most, memory=BUILD / "memory")


def signature(at: str, task: str, code: str, translator: str, decoder: str) -> str:
    """What makes the translations of a task into a language, in one line."""
    if translator == "external":
        return external(at).signature(SOURCE, code)
    shots = [samples(at, task, code, field) for field in FIELDS[task]]
    most = ",".join(str(dict(self_scale(at).max_tokens)[field]) for field in FIELDS[task])
    return signature_of(code, fingerprint(decoder), len(shots[0]), repr(shots), most)


@cache
def external(at: str):
    """Another translator: EasyNMT with a checkpoint that was trained on parallel text of this kind."""
    from xltlib import translation

    engine, kind = ("easynmt", "float32") if at == "paper" else ("ctranslate2", "int8")
    return translation.translator(engine, model=self_scale(at).external, beam=5, compute_type=kind)


Translated = tuple[tuple[Item | None, ...], dict[str, dict[str, int]]]
"""Items in a target language, None where a field was lost; and lost fields by field and reason."""


@cache
def translated(
    at: str, task: str, code: str, split: str, size: int | None, translator: str, decoder: str
) -> Translated:
    """English items translated field by field; an item is kept when all its fields are."""
    english = items(task, SOURCE, split, size, at)
    texts, lost = {}, {}
    for field in FIELDS[task]:
        wanted = [text for item in english for text in texts_of(item, field)]
        outputs, lost[field] = _translate(at, task, code, field, translator, decoder, wanted)
        found = iter(outputs)
        texts[field] = [[next(found) for _ in texts_of(item, field)] for item in english]
    made = []
    for i, item in enumerate(english):
        parts = {field: texts[field][i] for field in FIELDS[task]}
        complete = all(part is not None for found in parts.values() for part in found)
        made.append(_rebuilt(item, parts, code) if complete else None)
        if complete and made[-1] is None:
            lost["context"]["marks"] = lost["context"].get("marks", 0) + 1
    return tuple(made), lost


def texts_of(item: Item, field: str) -> list[str]:
    """What is translated of a field: sentences one by one in a context, the one with the answer marked."""
    if field != "context":
        return [str(item.fields[field])]
    sentences = list(item.fields["context"])
    sentences[item.span[0]] = _shown(item, field)
    return sentences


def _translate(at, task, code, field, translator, decoder, texts) -> tuple[Sequence[str | None], dict[str, int]]:
    if translator == "self":
        found = translator_of(at, task, code, field, decoder).translate(texts)
        return found.texts, dict(found.lost)
    lines = [text.split("\n") for text in texts]  # a translator of sentences gets the steps of a solution one by one
    words = [line for text in lines for line in text if any(c.isalpha() for c in line)]  # an answer has no letters
    by_line = dict(zip(words, external(at).translate(words, SOURCE, code), strict=True))
    return ["\n".join(by_line.get(line, line) for line in text) for text in lines], {}


def raw_translations(
    at: str, task: str, code: str, field: str, translator: str, decoder: str, texts: Sequence[str]
) -> list[str]:
    """Translations of texts of a field before any filter: up to the closing backtick, or to the limit."""
    if translator == "external":
        return list(_translate(at, task, code, field, translator, decoder, texts)[0])
    outputs = translator_of(at, task, code, field, decoder).outputs(texts)
    return [output.partition(TICK)[0] for output in outputs]


def _rebuilt(item: Item, parts: dict[str, list[str]], code: str) -> Item | None:
    """The item in the target language; None when the marks of an answer span did not survive."""
    fields, target, span = {field: found[0] for field, found in parts.items()}, item.target, item.span
    if item.task == "questions":
        sentences, place = list(parts["context"]), item.span[0]
        found = unmarked(sentences[place])
        if found is None:
            return None
        sentences[place], start, target = found
        if item.lead:
            phrase, target = target, questions.without_preposition(code, target)
            start += len(phrase) - len(target)
        fields, span = fields | {"context": tuple(sentences)}, (place, start)
    return replace(item, fields=fields, target=target, codes=(code, code), span=span, others=(), lead=0)


def switched(english: Sequence[Item], target: Sequence[Item], code: str) -> list[Item]:
    """D_cs: (x_src, y_tgt) and (x_tgt, y_src), with the request for the output's language, in that language, where the
    output is natural language. In inference the output is a label, the same in both: D_cs repeats D_src and D_tgt."""
    requests = {c: problems.problem_bank(c).request for c in (SOURCE, code)}
    asks = bool(english) and bool(text_tasks.TASKS[english[0].task].produced)
    pairs = zip(english, target, strict=True)
    return [
        new
        for one, other in pairs
        for new in (
            other.with_input_of(one, requests[code] if asks else ""),
            one.with_input_of(other, requests[SOURCE] if asks else ""),
        )
    ]


def training_items(s: dict) -> list[Item]:
    """The training set of a spec's settings."""
    english = items(s["task"], SOURCE, "train", s["train_size"], s["scale"])
    shots = [other for code in s["languages"] for _, other in sample_items(s["scale"], s["task"], code)]
    if s["training"] == "D_src":
        return [*english, *shots]
    (code,) = s["languages"]
    made, _ = translated(
        s["scale"], s["task"], code, "train", s["train_size"], s["translator"], s["decoder"]
    )  # fmt: skip
    pairs = [(one, other) for one, other in zip(english, made, strict=True) if other]
    target = [other for _, other in pairs]
    if s["training"] == "D_tgt":
        return [*target, *shots]
    found = [*english, *shots, *target]
    return found + (switched([one for one, _ in pairs], target, code) if s["training"].endswith("D_cs") else [])


# Running --------------------------------------------------------------------------------------------------------------


@naming
def run(spec: RunSpec) -> Result:
    """Tune and test one condition with one seed; see `spec` for the settings.

    Tested: English and the target languages on test items; validation items in English, and the same items as the
    method itself translated them, which is all that may choose among runs.
    """
    s = spec.settings
    train = training_items(s)
    model, tokenizer, losses = tuned(train, s, spec.seed)
    rows = [{"language": SOURCE, "split": "train", "metric": "items", "value": float(len(train)), "n": len(train)}]
    rows.append(
        {"language": SOURCE, "split": "train", "metric": "loss", "value": float(np.mean(losses[-10:])), "n": 10}
    )
    for split, code, tested in held_out(s):
        rows += tested_rows(model, tokenizer, tested, s, split, code)
    return Result([row | {"n_effective": row["n"]} for row in rows])


def tuned(train: Sequence[Item], s: dict, seed: int):
    """(model, tokenizer, each step's loss) of a decoder tuned on items with LoRA, as a spec's settings say."""
    fast = s["scale"] != "paper" and bfloat16_pays()  # with plain attention: see models.HeadSettings
    model, tokenizer = load_causal(s["decoder"], "eager" if fast else None), load_tokenizer(s["decoder"])
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    how = lora.LoraSettings(
        s["learning_rate"], s["steps"], s["batch"], rank=s["rank"], alpha=s["alpha"], limit=s["limit"]
    )  # fmt: skip
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    examples = lora.tokens([(item.prompt, item.output) for item in train], tokenizer, s["limit"])
    model, losses = lora.fine_tune(model, examples, how, seed, pad=pad, bfloat16=fast)
    return model, tokenizer, losses


def held_out(s: dict) -> list[tuple[str, str, list[Item]]]:
    """(split, language, items) of all that a run is tested on."""
    own = lambda split, code: list(items(s["task"], code, split, s[f"{split}_size"], s["scale"]))  # noqa: E731
    validated = s["validation_size"] != 0
    found = [(split, SOURCE, own(split, SOURCE)) for split in (SPLITS[1:] if validated else SPLITS[2:])]
    for code in s["languages"]:
        found.append(("test", code, own("test", code)))
        if not validated:
            continue
        made, _ = translated(
            s["scale"], s["task"], code, "validation", s["validation_size"], s["translator"] or "self", s["decoder"]
        )
        kept = [item for item in made if item]
        if kept:
            found.append(("validation", code, kept))
    return found


def tested_rows(model, tokenizer, tested: Sequence[Item], s: dict, split: str, code: str) -> list[dict]:
    """Mean scores of a model's outputs for items; where languages differ in how they are scored, with its `rule`."""
    outputs = answers(model, tokenizer, tested, dict(self_scale(s["scale"]).new_tokens)[s["task"]])
    scored = [text_tasks.scores(item, output) for item, output in zip(tested, outputs, strict=True)]
    rule = text_tasks.scoring_rule(s["task"], code)
    return [
        {"language": code, "split": split, "metric": name, "value": float(np.mean([row[name] for row in scored])),
         "n": len(tested)} | ({"rule": rule} if rule else {})
        for name in scored[0]
    ]  # fmt: skip


def answers(model, tokenizer, tested: Sequence[Item], most: int, batch: int = GENERATED) -> list[str]:
    """A model's greedy outputs for items, in order; items of like length are answered together."""
    order = sorted(range(len(tested)), key=lambda i: len(tested[i].prompt))
    outputs = [""] * len(tested)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        made = generate(model, tokenizer, [tested[i].prompt for i in chosen], most)
        for i, output in zip(chosen, made, strict=True):
            outputs[i] = output
    return outputs


def prepare(specs: Iterable[RunSpec], jobs: int = 1) -> None:
    """Translate all that the specs need, each text once, before a grid starts; in `jobs` processes."""
    wanted: dict[str, list] = {}
    for run_spec in specs:
        s = run_spec.settings
        for code in s["languages"]:
            for split in ("train", "validation") if s["translator"] else ("validation",):
                size = s["train_size"] if split == "train" else s["validation_size"]
                if size == 0:
                    continue
                key = [s["scale"], s["task"], code, split, size, s["translator"] or "self", s["decoder"]]
                wanted[canonical(key)] = key
    order = sorted(wanted.values(), key=lambda key: (key[3] != "train", -(key[4] or 0)))  # the longest first
    grid.each(translate_for, order, jobs, "translated")


def translate_for(key: list) -> None:
    """Fill the memory with one set of translations."""
    translated(*key)
