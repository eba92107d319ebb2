"""Paper 4's grid of runs, and the tables and claims that its notebooks make from their records.

A run is one model on one task and language, probed or fine-tuned. The unit of every comparison is the pretraining
seed: the paper has one, and that is its main weakness.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from xltlib import objective_runs, published, stacks, store
from xltlib.downstream import TASKS
from xltlib.errors import choice
from xltlib.objectives import OBJECTIVES
from xltlib.probing import ProbeSettings
from xltlib.published import LedgerRow
from xltlib.scales import objective_scale
from xltlib.statistics import Summary, summary
from xltlib.store import Result, RunSpec

EXPERIMENT = "objectives"
VERSION = 1
"""Version of the method: raise it when a change of code changes results; records of another version are out of date."""
MODES = ("probing", "fine-tuning")
DOUBLE = tuple(name for name, objective in OBJECTIVES.items() if objective.double)
SINGLE = tuple(name for name, objective in OBJECTIVES.items() if not objective.double)
FROM_SCALE = ("validation_size", "test_size", "epochs", "batch", "limit", "pooling")
Checkpoint = Callable[[str, int], str]
"""name@hash of the model of an objective and pretraining seed."""


def spec(
    at: str, objective: str, pretraining_seed: int, task: str, code: str, mode: str, seed: int, checkpoint: Checkpoint,
    *, size: int | None = None, **changes,
) -> RunSpec:  # fmt: skip
    """The spec of one run; `changes` replace settings of the scale (a confound's switch). A probing run has all its
    heads' seeds in it; `seed` is then the first one. InputError for unknown names."""
    s = objective_scale(at)
    choice(objective, OBJECTIVES, "objective")
    choice(task, TASKS, "task")
    choice(code, s.languages, "language")
    choice(mode, MODES, "mode")
    settings = {
        "scale": at, "objective": objective, "pretraining_seed": pretraining_seed, "task": task, "language": code,
        "train_size": size or s.train_size, "learning_rate": s.probe_rate if mode == "probing" else s.tune_rate,
        "heads": s.probe_seeds if mode == "probing" else 1, **{name: getattr(s, name) for name in FROM_SCALE},
    } | changes  # fmt: skip
    return RunSpec(EXPERIMENT, mode, VERSION, corpus_name(), checkpoint(objective, pretraining_seed), seed, settings)


def corpus_name() -> str:
    """The corpora behind the tasks with their hashes."""
    from xltlib.corpora import embedded, statement_text

    return f"reviews@{embedded.corpus_hash()}+statements@{statement_text.corpus_hash()}"


def grid(at: str, checkpoint: Checkpoint, seeds: Sequence[int] | None = None) -> list[RunSpec]:
    """Every objective, task and language, probed and fine-tuned, pretraining seed by pretraining seed."""
    s = objective_scale(at)
    seeds = range(1, s.pretraining_seeds + 1) if seeds is None else seeds
    return [
        spec(at, objective, pretraining, task, code, mode, seed, checkpoint)
        for pretraining in seeds
        for objective in OBJECTIVES
        for task in s.tasks
        for code in s.languages
        for mode in MODES
        for seed in range(1 if mode == "probing" else s.tune_seeds)
    ]


def run(run_spec: RunSpec, model: stacks.Stack, tokenizer) -> Result:
    """Probe or fine-tune a model as a spec says. The model is changed by fine-tuning."""
    s = run_spec.settings
    sizes = {"train": s["train_size"], "validation": s["validation_size"], "test": s["test_size"]}
    sets = objective_runs.sets_of(s["task"], s["language"], tokenizer, s["limit"], sizes)
    how = ProbeSettings(len(TASKS[s["task"]].classes), s["epochs"], s["batch"], s["learning_rate"])
    if run_spec.method == "probing":
        heads = range(run_spec.seed, run_spec.seed + s["heads"])
        rows = objective_runs.probe(model, s["task"], sets, how, tuple(heads), s["pooling"])
    else:
        rows = objective_runs.fine_tune(model, s["task"], sets, how, run_spec.seed, s["pooling"])
    return Result([row | {"language": s["language"]} for row in rows])


def reference(at: str = "mini") -> pd.DataFrame:
    """The committed records, one row a metric; empty when there are none."""
    file = EXPERIMENT + ("-paper" if at == "paper" else "")
    return store.reference(file) if (store.REFERENCE / f"{file}.parquet").exists() else pd.DataFrame()


# Tables and claims ----------------------------------------------------------------------------------------------------


def scores(frame: pd.DataFrame, metric: str = "f1_macro") -> pd.DataFrame:
    """Test scores with a row for each (mode, task, language, pretraining seed), heads and fine-tunings averaged, and a
    column for each objective."""
    part = frame[(frame["metric"] == metric) & (frame["split"] == "test")]
    index = ["method", "task", "language", "pretraining_seed"]
    return part.pivot_table(index=index, columns="objective", values="value", aggfunc="mean")


def by_seed(values: pd.Series, **where: str | Sequence[str]) -> pd.Series:
    """A difference of columns of `scores`, averaged within each pretraining seed. `where` keeps one value, or a list of
    them, of an index level."""
    for level, wanted in where.items():
        kept = [wanted] if isinstance(wanted, str) else list(wanted)
        values = values[values.index.get_level_values(level).isin(kept)]
    return values.dropna().groupby("pretraining_seed").mean()


def gap(table: pd.DataFrame) -> pd.Series:
    """The mean of the double stacks less the mean of the single ones."""
    return table[list(DOUBLE)].mean(axis=1) - table[list(SINGLE)].mean(axis=1)


def effects(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The paper's claims as differences by pretraining seed, each claimed to be above zero (claims.csv, B01 to B08)."""
    best = lambda names: table[list(names)].max(axis=1)  # noqa: E731
    probing, tuned = {"method": "probing"}, {"method": "fine-tuning"}
    gaps = gap(table)
    return {
        "B01": by_seed(table["2-MT"] - table["2-LM"]),
        "B02": by_seed(table[list(DOUBLE)].min(axis=1) - best(SINGLE), **probing),
        "B03": by_seed(table["CLM"] - best(["MLM", "TLM"]), **probing),
        "B04": by_seed(table["MLM"] - best(["CLM", "TLM"]), **tuned, task=["pos", "ner", "nli"]),
        "B05": by_seed(table["TLM"] - best(["CLM", "MLM"]), **tuned, task="sentiment"),
        "B06": by_seed(gaps, **probing) - by_seed(gaps, **tuned),
        "B07": by_seed((table["2-MT"] - table["2-LM"]) - (table["TLM"] - best(["CLM", "MLM"]))),
        "B08": by_seed(table["2-MT"] - best([name for name in OBJECTIVES if name != "2-MT"])),
    }


def ledger(frame: pd.DataFrame) -> pd.DataFrame:
    """Paper 4's rows of the replication ledger, from the reference runs; all "not run" without them."""
    if frame.empty:
        return published.ledger([], "objectives")
    test = "difference in macro-F1 by pretraining seed, averaged over tasks and languages; t interval over seeds"
    rows = [
        LedgerRow(claim, _summary(found), "mini", test, ">0") for claim, found in effects(scores(frame)).items()
    ]  # fmt: skip
    return published.ledger(rows, "objectives")


def _summary(found: pd.Series) -> Summary | None:
    return summary(found) if len(found) else None
