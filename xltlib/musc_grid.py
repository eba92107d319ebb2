"""Paper 2's grids of runs, and the tables that its notebooks make from their records."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from xltlib import musc, musc_trials, pending, published, statistics, store
from xltlib.errors import InputError
from xltlib.languages import language
from xltlib.musc_training import METHODS
from xltlib.published import LedgerRow
from xltlib.scales import musc_scale
from xltlib.statistics import Summary, summary
from xltlib.store import Record, RunSpec, Store
from xltlib.tasks import TASKS
from xltlib.trials import trial
from xltlib.verdicts import Part, Verdict, most, verdict_of_parts

PLAIN, WITH_MT = musc.TRAINING[:2]
TARGET_TEXT, TRANSLATED = musc.INPUTS
MEAN = musc.ENSEMBLES[0]
ALGORITHMS: dict[str, tuple[str, str, str]] = {
    "zero-shot": (PLAIN, "multilingual", TARGET_TEXT),
    "translate-test, English": (PLAIN, "english", TRANSLATED),
    "translate-test": (PLAIN, "multilingual", TRANSLATED),
    "translate-train": (WITH_MT, "multilingual", TARGET_TEXT),
    "translate-train, MT input": (WITH_MT, "multilingual", TRANSLATED),
    "translate-all": (WITH_MT, "multilingual", MEAN),
    "translate-all, logits": (WITH_MT, "multilingual", musc.ENSEMBLES[1]),
}
"""Table 2's algorithms as (training set, encoder, input). Translate-test in both readings, with the English encoder and
with the multilingual one; translate-all with both ensembles, after each of its two inputs by itself."""
LOSSES = {"ce": "CE", "sc": "SupCon", "mu": "MixUp", "sc+mu": "SupCon + MixUp", "musc": "MUSC"}
"""Methods as figures name them; all have cross-entropy."""
TABLE_4 = musc.TRAINING[2:]
TARGETS = ("de", "es", "zh")
"""Target languages of the reference models: all four tasks have them."""
FURTHER = {
    "reviews": ("fr", "ja"),
    "topics": ("ru", "it", "ja"),
    "paraphrase": ("fr", "ko", "ja"),
    "inference": ("ru", "th", "ar"),
}
"""Target languages of each task's second models, for cross-entropy and MUSC alone."""
REFERENCE_SEEDS = 5


def algorithms(
    at: str, task: str, seeds: Sequence[int], targets: Sequence[str] | None = None, size: int | None = None
) -> list[RunSpec]:
    """The runs behind ALGORITHMS: one model on S_trn and its translations, two on S_trn alone."""
    runs = []
    for seed in seeds:
        for training_set, encoder in ((WITH_MT, "multilingual"), (PLAIN, "multilingual"), (PLAIN, "english")):
            runs.append(musc.spec(at, task, training_set, seed, encoder=encoder, targets=targets, size=size))
    return runs


def table4(
    at: str, task: str, seeds: Sequence[int], targets: Sequence[str] | None = None, size: int | None = None
) -> list[RunSpec]:
    """Table 4: S_trn with originals of the target languages, or with their round trips."""
    return [musc.spec(at, task, name, seed, targets=targets, size=size) for seed in seeds for name in TABLE_4]


def losses(at: str, task: str, seeds: Sequence[int], methods: Sequence[str] = METHODS, **options) -> list[RunSpec]:
    """Tables 5 and 9: the losses, same seeds for all; `options` are those of `musc.spec`."""
    return [musc.spec(at, task, WITH_MT, seed, method=method, **options) for seed in seeds for method in methods]


def live_algorithms(at: str, task: str) -> list[RunSpec]:
    """What notebook 04 runs."""
    return algorithms(at, task, range(musc_scale(at).seeds), size=musc_scale(at).live_size)


def live_table4(at: str, task: str) -> list[RunSpec]:
    """What notebook 05 runs."""
    return table4(at, task, range(musc_scale(at).table4_seeds), size=musc_scale(at).live_size)


def live_losses(at: str) -> list[RunSpec]:
    """What notebook 06 runs: cross-entropy against MUSC on topics at the smallest training size."""
    return losses(at, "topics", range(musc_scale(at).seeds), ("ce", "musc"), size=musc_scale(at).sizes[0])


def full_grid(at: str, seeds: int = REFERENCE_SEEDS) -> list[RunSpec]:
    """The reference grid, seed by seed: a grid that was stopped has fewer seeds of every condition."""
    runs: list[RunSpec] = []
    for seed in range(seeds):
        runs += list(_of_one_seed(at, [seed]))
    return list(dict.fromkeys(runs))


def _of_one_seed(at: str, seed: list[int]) -> Iterator[RunSpec]:
    sizes = musc_scale(at).sizes
    for size in sizes:
        yield from losses(at, "topics", seed, size=size, targets=TARGETS)
    for name in musc_scale(at).tasks:
        yield from algorithms(at, name, seed, TARGETS)
        yield from losses(at, name, seed, targets=TARGETS)
    for size in (None, sizes[-1]):
        yield from table4(at, "topics", seed, TARGETS, size)
    yield from table4(at, "reviews", seed, TARGETS)
    for size in (sizes[0], None):
        yield from losses(at, "topics", seed, ("sc", "musc"), size=size, targets=TARGETS, form="out")
        released = [method for method in METHODS if method != "sc+mu"]
        yield from losses(at, "topics", seed, released, size=size, targets=TARGETS, preset_name="released", audit=True)
    for name in musc_scale(at).tasks:
        yield from losses(at, name, seed, ("ce", "musc"), targets=FURTHER[name])


def reference_name(at: str) -> str:
    """The reference file of a scale: mini's is committed; smoke, which proves nothing, shows mini's."""
    return "musc-paper" if at == "paper" else "musc"


def complete(records: Store, at: str, jobs: int = 1) -> None:
    """Run what the reference files of a scale lack: at mini the trials, whose answers the paper has for its own scale,
    then the full grid; resumable. InputError at smoke."""
    if at == "smoke":
        raise InputError("grid 'full' at scale smoke: its runs are no results; use --scale mini (or paper)")
    name = reference_name(at)
    trials = {f"{name}-trial": musc_trials.rates, f"{name}-pairs": musc_trials.pairs} if at == "mini" else {}
    parts = {file: wanted(at) for file, wanted in trials.items()} | {name: full_grid(at)}
    for file, wanted in parts.items():
        musc.prepare(records.missing_in_reference(file, wanted), jobs)
        records.complete_reference(file, wanted, trial(musc.run) if file in trials else musc.run, jobs=jobs)


def reference(at: str = "mini", part: str = "") -> pd.DataFrame:
    """The committed records, one row a metric; empty when there are none. `part`: "-trial" or "-pairs"."""
    name = reference_name(at) + part
    return store.reference(name) if (store.REFERENCE / f"{name}.parquet").exists() else pd.DataFrame()


def scores(frame: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """One row a run, target language and input. The source language, whose two inputs are one, stays out."""
    if frame.empty:
        return frame
    part = frame[(frame["metric"] == metric) & (frame["language"] != musc.SOURCE)]
    return part.assign(loss=part["method"].map(LOSSES))


def by_algorithm(part: pd.DataFrame) -> pd.DataFrame:
    """The rows of `scores` that belong to ALGORITHMS, with the column `algorithm`; cross-entropy alone."""
    part = part[(part["method"] == "ce") & (part["preset"] == "paper")]
    found = []
    for name, (training_set, encoder, kind) in ALGORITHMS.items():
        rows = part[(part["training"] == training_set) & (part["encoder"] == encoder) & (part["input"] == kind)]
        found.append(rows.assign(algorithm=name))
    return pd.concat(found, ignore_index=True)


def by_run(part: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """Scores as a table: a row for each (task, train_size, seed, language), a column for each value of `columns`."""
    return statistics.pivot(part, ["task", "train_size", "seed", "language"], columns, "value")


def effect(table: pd.DataFrame, better: object, worse: object, **where: object) -> pd.Series:
    """Per seed, the difference of two columns of `by_run`, averaged over tasks, sizes and languages: the run-level
    effect. `where` keeps one value of an index level."""
    for level, value in where.items():
        table = table[table.index.get_level_values(level) == value]
    return (table[better] - table[worse]).dropna().groupby("seed").mean()


def gains(
    table: pd.DataFrame, pairs: Mapping[str, tuple], by: str | None = None, direction: str = ">0"
) -> pd.DataFrame:
    """Differences of columns of `by_run`, each mean [95 % CI over seeds], n; with a verdict, or by an index level."""
    if by is None:
        found = {name: summary(effect(table, *pair)) for name, pair in pairs.items()}
        verdicts = [str(published.verdict(value, direction)) for value in found.values()]
        return pd.DataFrame({"difference": list(pairs), "ours": [str(v) for v in found.values()], "verdict": verdicts})
    values = list(dict.fromkeys(table.index.get_level_values(by)))
    lines = {name: [_told(effect(table, *pair, **{by: v})) for v in values] for name, pair in pairs.items()}
    return pd.DataFrame({by: [language(v).name if by == "language" else v for v in values]} | lines)


def _told(values: pd.Series) -> str:
    return str(summary(values)) if len(values) else ""


def spread(part: pd.DataFrame, rows: str | list[str], columns: str) -> pd.DataFrame:
    """Scores as a table of mean [95 % CI over runs], n."""
    return statistics.spread(part, rows, columns, runs=["seed"])


# What the ensemble does to single texts -------------------------------------------------------------------------------

COLOURS = {
    ("right", "right"): "blue",
    ("right", "wrong"): "orange",
    ("wrong", "right"): "green",
    ("wrong", "wrong"): "red",
}
"""Figure 1's colours: right on T_tst?, right on the ensemble?"""
CHANGES = {
    "blue": "right, stays right",
    "orange": "right, broken",
    "green": "wrong, repaired",
    "red": "wrong, stays wrong",
}


def both_views(predictions: pd.DataFrame) -> pd.DataFrame:
    """A run's predictions on target languages, one row a text: language, index, label, the probability of the right
    label on each input (x on T_tst, y on S_tst^MT), what each input and the ensemble answer, and in `class` the colour
    of Figure 1."""
    columns = [c for c in predictions if c[0] == "p" and c[1:].isdigit()]
    part = predictions[predictions["language"] != musc.SOURCE].set_index(["language", "index"])
    target, source = (part[part["input"] == kind].sort_index() for kind in musc.INPUTS)
    labels = target["label"].to_numpy()
    p, q = (frame[columns].dropna(axis=1).to_numpy(dtype=float) for frame in (target, source))
    rows = np.arange(len(labels))
    frame = target.reset_index()[["language", "index", "label"]].assign(x=p[rows, labels], y=q[rows, labels])
    answers = {TARGET_TEXT: p.argmax(1), TRANSLATED: q.argmax(1), "ensemble": (p + q).argmax(1)}
    for name, answer in answers.items():
        frame[name] = answer
    right = {name: np.where(answer == labels, "right", "wrong") for name, answer in answers.items()}
    changes = zip(right[TARGET_TEXT], right["ensemble"], strict=True)
    return frame.assign(**{"class": [COLOURS[change] for change in changes]})


def change_shares(records: Sequence[Record]) -> pd.DataFrame:
    """Per target language, mean over runs: how often the two inputs get different answers, and the share of each class
    of Figure 1."""
    rows = []
    for record in records:
        for code, part in both_views(record.predictions).groupby("language"):
            shares = part["class"].map(CHANGES).value_counts(normalize=True)
            row = {"language": language(code).name, "inputs disagree": (part[TARGET_TEXT] != part[TRANSLATED]).mean()}
            rows.append(row | {name: shares.get(name, 0.0) for name in CHANGES.values()})
    return pd.DataFrame(rows).groupby("language").mean().reset_index()


def calibrations(records: Sequence[Record]) -> pd.DataFrame:
    """Expected calibration error of each input and ensemble, mean over runs and target languages."""
    rows = []
    for record in records:
        frame = record.predictions[record.predictions["language"] != musc.SOURCE]
        for _, part in frame.groupby("language"):
            both = {kind: part[part["input"] == kind] for kind in musc.INPUTS}
            labels = both[TARGET_TEXT]["label"].to_numpy()
            arrays = {kind: rows_of.filter(regex=r"^p\d$").to_numpy(float) for kind, rows_of in both.items()}
            arrays |= musc.ensembles(*arrays.values())
            rows += [{"input": kind, "calibration error": calibration(labels, p)} for kind, p in arrays.items()]
    return pd.DataFrame(rows).groupby("input", sort=False).mean().reset_index()


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017): the mean distance of confidence and accuracy over `bins` bins of
    equal width, weighted by their numbers of texts."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    groups = [bin_of == b for b in np.unique(bin_of)]
    return float(sum(g.mean() * abs(confidence[g].mean() - right[g].mean()) for g in groups))


NOT_OF_KINDS = (
    "the target half of the training set acts on the target text alone, so any damage to it gives an interaction above "
    "zero: this is no evidence that kinds of text must match; M03 tests that"
)


# Claims ---------------------------------------------------------------------------------------------------------------


def interaction(table: pd.DataFrame) -> pd.Series:
    """Table 4 per seed: (T^BT - T) on S_tst^MT minus (T^BT - T) on T_tst; columns of `table` are (training, input)."""
    original, round_trip = TABLE_4
    return effect(table, (round_trip, TRANSLATED), (original, TRANSLATED)) - effect(
        table, (round_trip, TARGET_TEXT), (original, TARGET_TEXT)
    )


def size_slope(table: pd.DataFrame, better: str, worse: str) -> pd.Series:
    """Per seed, the slope of a gain on the logarithm of the training size; seeds with one size alone have none."""
    gain = (table[better] - table[worse]).dropna().groupby(["seed", "train_size"]).mean().unstack().dropna(thresh=2)
    if gain.empty:
        return pd.Series(dtype=float)
    return gain.apply(lambda row: np.polyfit(np.log(row.dropna().index.astype(float)), row.dropna(), 1)[0], axis=1)


def datasets(table: pd.DataFrame) -> list[tuple[str, int]]:
    """What the paper calls data sets: a task with a training size, (task, size), in order."""
    return sorted({(task, size) for task, size, _, _ in table.index})


def in_each_dataset(table: pd.DataFrame, better: object, worse: object, keep: Sequence[str] = ()) -> tuple[Part, ...]:
    """The parts of a claim on every data set; `keep`: of these tasks alone."""
    found = [(task, size) for task, size in datasets(table) if not keep or task in keep]
    name = "" if isinstance(better, tuple) else f"{LOSSES.get(better, better)} - {LOSSES.get(worse, worse)}, "
    effects = [effect(table, better, worse, task=task, train_size=size) for task, size in found]
    every = [(f"{name}{task}, {size} texts", values) for (task, size), values in zip(found, effects, strict=True)]
    return tuple(Part(what, summary(values)) for what, values in every if len(values))


def on_most(table: pd.DataFrame, better: str, worse: str) -> Verdict:
    """The verdict on a gain "on most data sets"."""
    return most(part.verdict() for part in in_each_dataset(table, better, worse))


def in_each_task(table: pd.DataFrame, better: object, worse: object, direction: str = ">0") -> tuple[Part, ...]:
    """An effect in single tasks, to be seen beside their mean."""
    tasks = dict.fromkeys(table.index.get_level_values("task"))
    found = {task: effect(table, better, worse, task=task) for task in tasks}
    return tuple(Part(task, summary(values), direction) for task, values in found.items() if len(values))


def in_english(frame: pd.DataFrame, better: str, worse: str) -> Part:
    """A gain in the source language, whose test text has no translation: beside the target languages."""
    part = frame[(frame["metric"] == "accuracy") & (frame["language"] == musc.SOURCE) & (frame["preset"] == "paper")]
    part = part[
        part["targets"].eq(",".join(TARGETS)) & (part["training"] == WITH_MT) & (part["form"].fillna("in") == "in")
    ]
    table = by_run(part[(part["encoder"] == "multilingual") & (part["input"] == TARGET_TEXT)], "method")
    return Part("English, its one input", _summary(effect(table, better, worse)))


def absent(at: str = "mini") -> set[str]:
    """The tasks of which the reference file lacks runs of today's grid."""
    return pending.missing(reference(at), full_grid(at))


def ledger(frame: pd.DataFrame, absent: Collection[str] = ()) -> pd.DataFrame:
    """Paper 2's rows of the replication ledger, from the reference runs; all "not run" without them. `absent`: tasks
    whose runs are not complete (`musc_grid.absent`); of these some or none may be there."""
    if frame.empty:
        return published.ledger([], "musc")
    part = scores(frame)
    main = part[(part["preset"] == "paper") & part["targets"].eq(",".join(TARGETS))]
    seen = by_run(main[(main["method"] == "ce") & (main["training"] == WITH_MT)], "input")
    types = by_run(main[main["training"].isin(TABLE_4)], ["training", "input"])
    printed = main[(main["training"] == WITH_MT) & (main["input"] == MEAN) & (main["form"].fillna("in") == "in")]
    loss = by_run(printed, "method")
    topics = loss[loss.index.get_level_values("task") == "topics"]
    test = "difference by seed, averaged over tasks, sizes and target languages; t interval over seeds"
    each = "difference by seed on each data set, averaged over target languages; t interval over seeds"
    back, original = ((name, TRANSLATED) for name in reversed(TABLE_4))
    sides = [("sc", "ce"), ("mu", "ce")]
    order = [Verdict.NOT_RUN, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED]
    weak = min(sides, key=lambda pair: order.index(on_most(loss, *pair)))
    of_size = {
        LOSSES[name]: _summary(size_slope(topics, name, "ce")) for name in ("sc", "mu", "musc") if name in topics
    }
    lines = [
        LedgerRow("M01", scale="mini", test=each, parts=in_each_dataset(seen, MEAN, TARGET_TEXT)),
        LedgerRow("M02", _summary(effect(seen, TRANSLATED, TARGET_TEXT)), "mini", test, "=0",
                  shown=in_each_task(seen, TRANSLATED, TARGET_TEXT, "=0")),
        LedgerRow("M03", _summary(effect(types, back, original)), "mini", test,
                  shown=in_each_task(types, back, original)),
        LedgerRow("M04", _summary(interaction(types)), "mini", test, note=NOT_OF_KINDS,
                  shown=tuple(Part(name, _summary(interaction(part))) for name, part in types.groupby(level="task"))),
        LedgerRow("M05", _summary(effect(loss, *weak)), "mini",
                  f"{each}; each loss on more than half of them; the number is the mean of {LOSSES[weak[0]]}",
                  decided=verdict_of_parts(on_most(loss, *pair) for pair in sides),
                  shown=tuple(part for pair in sides for part in in_each_dataset(loss, *pair))),
        LedgerRow("M06", scale="mini", parts=tuple(Part(f"{k} - CE", v, "<0") for k, v in of_size.items()),
                  test="slope of the gain on the natural log of the training size (points for e times as many texts), "
                       "by seed; t interval over seeds; each loss"),
        LedgerRow("M07", scale="mini", test=each,
                  parts=in_each_dataset(loss, "musc", "sc") + in_each_dataset(loss, "musc", "mu")),
        LedgerRow("M08", scale="mini", test=f"{each}; reviews are the paper's exception",
                  parts=in_each_dataset(loss, "musc", "sc+mu", [name for name in TASKS if name != "reviews"])),
        LedgerRow("M09", _summary(effect(loss, "musc", "ce")), "mini", test,
                  shown=(*in_each_task(loss, "musc", "ce"), in_english(frame, "musc", "ce"))),
    ]  # fmt: skip
    needs = {"M06": {"topics"}, "M08": {"topics"}}
    return published.ledger(pending.held_back(lines, needs, set(absent)), "musc")


def _summary(values: pd.Series) -> Summary | None:
    """None, which is "not run", where a file that is being completed has no run yet."""
    return summary(values) if len(values) else None
