"""Paper 4's grids of runs: live, the reference, the trial of learning rates, the confounds.

A run is one model on one task and language, probed or fine-tuned. The unit of every comparison is the pretraining
seed: the paper has one, and that is its main weakness. What the records say is in `objective_tables`.
"""

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache

import pandas as pd

from xltlib import objective_models, objective_pretraining, objective_runs, objective_tables, pending, store
from xltlib.corpora import statement_text
from xltlib.downstream import TASKS
from xltlib.errors import InputError, choice
from xltlib.objective_pretraining import Checkpoint
from xltlib.objective_tables import CONFOUNDS, HOUSE
from xltlib.objectives import OBJECTIVES, START, first_token
from xltlib.probing import ProbeSettings
from xltlib.records import naming
from xltlib.scales import objective_scale
from xltlib.store import Result, RunSpec, Store
from xltlib.trials import trial

EXPERIMENT = "objectives"
VERSIONS = {"ner": 2, "pos": 2}
"""Version of the method for a task, 1 where it is not given: raise it when a change of code changes results; records of
another version are out of date. Second versions: a word is read at the first piece that holds one of its characters."""
MODES = ("probing", "fine-tuning")
FROM_SCALE = ("validation_size", "test_size", "epochs", "batch", "limit", "pooling")
LIVE_TUNED = ("pos",)
"""Tasks that are fine-tuned live, with one seed: its texts are short, which makes it cheaper than sentiment."""
RATES = {"probing": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), "fine-tuning": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
"""Learning rates of the trial, continued until the best one of a mode is not the last; the paper's is 1e-4, for models
that are more than fifty times larger."""
TRIAL_LANGUAGE = "en"
CONFOUND_LANGUAGES = ("ar", "en", "zh")
"""Three scripts; chosen before any run."""
SPLITS = ("train", "validation", "test")


# Runs -----------------------------------------------------------------------------------------------------------------


def spec(
    at: str, objective: str, pretraining_seed: int, task: str, code: str, mode: str, seed: int, checkpoint: Checkpoint,
    *, variant: str = "", **changes,
) -> RunSpec:  # fmt: skip
    """The spec of one run; `variant` names other models (`objective_models.VARIANTS`), `changes` replace settings of
    the scale. A probing run has all its heads' seeds in it; `seed` is then the first one. InputError for unknown names,
    and at scale paper, whose models cannot be had."""
    s = objective_scale(at)
    objective_pretraining.refuse_paper(at)
    choice(objective, OBJECTIVES, "objective")
    choice(task, TASKS, "task")
    choice(code, s.languages, "language")
    choice(mode, MODES, "mode")
    settings = {
        "scale": at, "objective": objective, "pretraining_seed": pretraining_seed, "variant": variant, "task": task,
        "language": code, "train_size": s.train_size, "patience": 0,
        "learning_rate": s.probe_rate if mode == "probing" else s.tune_rate,
        "heads": s.probe_seeds if mode == "probing" else 1, **{name: getattr(s, name) for name in FROM_SCALE},
    }  # fmt: skip
    if first_token(objective, code) != START:
        settings["start"] = HOUSE["start"]  # only here is there a choice
    if unknown := sorted(set(changes) - set(settings)):
        raise InputError(f"unknown setting {unknown[0]!r}: use one of {', '.join(settings)}")
    named = checkpoint(objective, pretraining_seed, variant)
    corpus = objective_models.corpus_name()
    if task == "nli":
        corpus += f"+inference@{statement_text.tasks_hash()}"
    return RunSpec(EXPERIMENT, mode, VERSIONS.get(task, 1), corpus, named, seed, settings | changes)


@naming
def run(run_spec: RunSpec) -> Result:
    """Probe or fine-tune the model that a spec names: a row for each head's seed, split and metric, and rows of the
    majority class."""
    s = run_spec.settings
    task, sizes = s["task"], tuple(s[f"{split}_size"] for split in SPLITS)
    as_pretrained = s.get("start", HOUSE["start"]) == HOUSE["start"]
    start = first_token(s["objective"], s["language"]) if as_pretrained else START
    where = (run_spec.checkpoint, task, s["language"], s["limit"], sizes, start)
    how = ProbeSettings(
        len(TASKS[task].classes), s["epochs"], s["batch"], s["learning_rate"], patience=s["patience"] or None
    )
    model, sets = objective_models.load(run_spec.checkpoint)[0], encoded(*where)
    if run_spec.method == "probing":
        heads = tuple(range(run_spec.seed, run_spec.seed + s["heads"]))
        found = frozen(*where, s["pooling"])
        rows = objective_runs.probe(model, task, sets, how, heads, s["pooling"], found)
    else:
        model = copy.deepcopy(model)
        rows = objective_runs.fine_tune(model, task, sets, how, run_spec.seed, s["pooling"])
    rows += objective_runs.majority(task, sets, run_spec.seed)
    return Result([row | {"language": s["language"]} for row in rows])


@lru_cache(maxsize=8)
def encoded(
    checkpoint: str, task: str, code: str, limit: int, sizes: tuple, start: int
) -> dict[str, objective_runs.Encoding]:  # fmt: skip
    """Train, validation and test items of a task and language as a model takes them."""
    tokenizer = objective_models.load(checkpoint)[1]
    return objective_runs.sets_of(task, code, tokenizer, limit, dict(zip(SPLITS, sizes, strict=True)), start)


def frozen(checkpoint: str, task: str, code: str, limit: int, sizes: tuple, start: int, pooling: str):
    """A model's features of each set, computed once in a process: heads with other rates or other labels take the same.
    NER and POS have the same texts, and words are not pooled."""
    words = TASKS[task].words
    return _frozen(checkpoint, "pos" if words else task, code, limit, sizes, start, "mean" if words else pooling)


@lru_cache(maxsize=4)
def _frozen(checkpoint: str, task: str, code: str, limit: int, sizes: tuple, start: int, pooling: str):
    model = objective_models.load(checkpoint)[0]
    sets = encoded(checkpoint, task, code, limit, sizes, start)
    return {name: objective_runs.features(model, encoding, pooling) for name, encoding in sets.items()}


# Grids ----------------------------------------------------------------------------------------------------------------


def live(at: str, checkpoint: Checkpoint | None = None) -> list[RunSpec]:
    """What notebook 10 runs, with the shipped models (one pretraining seed): probing on all live tasks and languages,
    fine-tuning on LIVE_TUNED. A part of the reference grid, so that a reader can check its records."""
    s, checkpoint = objective_scale(at), checkpoint or objective_pretraining.checkpoints()
    return [
        spec(at, objective, 1, task, code, mode, seed, checkpoint)
        for objective in OBJECTIVES
        for code in s.live_languages
        for task in s.live_tasks
        for mode, seed in _modes(int(task in LIVE_TUNED))
    ]


def _modes(tune_seeds: int) -> list[tuple[str, int]]:
    """(mode, seed): one probing run, which has all heads in it, and a fine-tuning run for each seed."""
    return [("probing", 0), *(("fine-tuning", seed) for seed in range(tune_seeds))]


def full_grid(
    at: str, checkpoint: Checkpoint | None = None, pretraining_seeds: Sequence[int] | None = None
) -> list[RunSpec]:
    """The reference: every objective, task and language, probed and fine-tuned, pretraining seed by pretraining seed.
    InputError when a model has never been built."""
    s, checkpoint = objective_scale(at), checkpoint or objective_pretraining.checkpoints()
    return [
        spec(at, objective, pretraining_seed, task, code, mode, seed, checkpoint)
        for pretraining_seed in pretraining_seeds or range(1, s.pretraining_seeds + 1)
        for objective in OBJECTIVES
        for code in s.languages
        for task in s.tasks
        for mode, seed in _modes(s.tune_seeds)
    ]


def rate_trial(at: str, checkpoint: Checkpoint | None = None) -> list[RunSpec]:
    """Where the two learning rates come from: all five models (first pretraining seed), the live tasks (one of texts,
    one of words) in English, judged on validation items; `objective_tables.chosen` has the rule."""
    s, checkpoint = objective_scale(at), checkpoint or objective_pretraining.checkpoints()
    return [
        spec(at, objective, 1, task, TRIAL_LANGUAGE, mode, 0, checkpoint, learning_rate=rate)
        for mode in MODES
        for objective in OBJECTIVES
        for task in s.live_tasks
        for rate in RATES[mode]
    ]


def confounds(at: str, checkpoint: Checkpoint | None = None) -> list[RunSpec]:
    """Every confound with one pretraining seed and, in fine-tuning, one seed; all of probing first, which is cheap."""
    checkpoint = checkpoint or objective_pretraining.checkpoints()
    return [
        spec(at, objective, 1, task, code, mode, 0, checkpoint, variant=found.variant, **found.changes)
        for mode in MODES
        for found in CONFOUNDS.values()
        for objective in found.objectives
        for code in CONFOUND_LANGUAGES
        for task in found.tasks
    ]


PARTS: dict[str, Callable[[str], list[RunSpec]]] = {"-rates": rate_trial, "": full_grid, "-confounds": confounds}
"""The reference files, in the order in which they are made."""


def complete(records: Store, at: str, jobs: int = 1) -> None:
    """Make what the reference files of a scale lack: models that are not there are pretrained first, then the trial,
    the full grid and the confounds run; resumable, one process a core. InputError at smoke, whose runs are no results,
    and when the trial chooses other learning rates than the scale has."""
    if at == "smoke":
        raise InputError("grid 'full' at scale smoke: its runs are no results; use --scale mini")
    objective_pretraining.refuse_paper(at)
    objective_pretraining.complete(records, objective_scale(at).pretraining_seeds, jobs)
    for part, wanted in PARTS.items():
        todo = records.missing_in_reference(EXPERIMENT + part, wanted(at))
        objective_pretraining.prepare([run_spec.checkpoint for run_spec in todo], jobs)
        how = trial(run) if part == "-rates" else run
        records.complete_reference(EXPERIMENT + part, wanted(at), how, jobs=jobs)
        if part == "-rates":
            _check_rates(at)


def _check_rates(at: str) -> None:
    """The scale's rates are those that the trial chose; hours of runs with others would be of no use."""
    s, found = objective_scale(at), objective_tables.chosen(reference(at, "-rates"))
    for mode, here, name in (("probing", s.probe_rate, "probe_rate"), ("fine-tuning", s.tune_rate, "tune_rate")):
        if found[mode] != here:
            raise InputError(
                f"the trial chooses learning rate {found[mode]:g} for {mode}, and scale {at} has {here:g}: "
                f"set {name} in xltlib/scales.py, and run again"
            )


def reference(at: str = "mini", part: str = "") -> pd.DataFrame:
    """The committed records, one row a metric; empty when there are none. `part`: "-rates" or "-confounds". Smoke,
    which proves nothing, shows mini's."""
    objective_scale(at)
    file = EXPERIMENT + part
    return store.reference(file) if (store.REFERENCE / f"{file}.parquet").exists() else pd.DataFrame()


def absent(at: str = "mini", part: str = "") -> set[str]:
    """The tasks of which a reference file lacks runs of today's grid; all of them while a model that they need has
    never been built."""
    try:
        return pending.missing(reference(at, part), PARTS[part](at))
    except InputError:
        return set(objective_scale(at).tasks)
