"""Paper 3's grids of runs, and the tables that its notebooks make from their records."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from xltlib import pending, published, self_train, self_train_quality, self_train_trial, statistics, store
from xltlib.errors import InputError
from xltlib.published import LedgerRow
from xltlib.scales import self_scale
from xltlib.self_train import EXPERIMENT, SOURCE, TRAINING, spec
from xltlib.self_train_quality import RUN
from xltlib.statistics import Summary, Test, summary, welch
from xltlib.store import RunSpec, Store
from xltlib.text_tasks import TASKS
from xltlib.verdicts import Part, Verdict

D_SRC, D_TGT, D_CS, ALONE = TRAINING
KEPT = 4
"""Runs of six that the paper reports: the best by validation (section 4.5)."""
UNIT = "seed"
"""What n counts in an effect."""
SIZE_LANGUAGES = ("de", "th", "zh")
"""Languages of the comparison of sizes (section 5.2)."""


# Runs -----------------------------------------------------------------------------------------------------------------


def six(at: str, task: str, training: str, language: str | None, **options) -> list[RunSpec]:
    """A setting's runs: every rate with every seed; six at mini and at paper."""
    s = self_scale(at)
    return [
        spec(at, task, training, language, seed, learning_rate=rate, **options)
        for seed in range(s.seeds)
        for rate in s.rates
    ]


def live(at: str, decoder: str | None = None) -> list[RunSpec]:
    """What notebooks 07 and 08 run: source data alone, and with its translation, on the smaller training set."""
    s, runs = self_scale(at), []
    for seed in range(s.live_seeds):
        for training, codes in ((D_SRC, (None,)), (D_TGT, s.live_languages)):
            runs += [spec(at, s.live_task, training, code, seed, live=True, decoder=decoder) for code in codes]
    return runs


def main_grid(at: str) -> list[RunSpec]:
    """Tables 3, 9 and 10 with the main decoder."""
    s, runs = self_scale(at), []
    for task in s.tasks:
        runs += six(at, task, D_SRC, None)
        for code in s.languages:
            for training in (D_TGT, D_CS, ALONE):
                runs += six(at, task, training, code)
    return runs


def external_grid(at: str) -> list[RunSpec]:
    """Table 11: the paper's gpt-3.5 column, and translate-train."""
    s = self_scale(at)
    return [
        run
        for code in s.languages
        for training in (D_TGT, D_CS)
        for run in six(at, s.live_task, training, code, translator="external")
    ]


def size_grid(at: str) -> list[RunSpec]:
    """Figure 2: the other sizes, and the main one after a pre-training that held target-language answers."""
    s, runs = self_scale(at), []
    others = [(name, SIZE_LANGUAGES) for name in s.decoders if name != s.main]
    for name, codes in others + ([(s.labelled, s.languages)] if s.labelled else []):
        runs += six(at, s.live_task, D_SRC, None, decoder=name)
        for code in codes:
            runs += six(at, s.live_task, D_TGT, code, decoder=name)
    return runs


def full_grid(at: str) -> list[RunSpec]:
    """The reference grid, seed by seed: a grid that was stopped has fewer runs of every setting."""
    runs = list(dict.fromkeys(main_grid(at) + external_grid(at) + size_grid(at)))
    return sorted(runs, key=lambda run: run.seed)


def reference_name(at: str) -> str:
    """The reference file of a scale; smoke, which proves nothing, shows mini's."""
    return f"{EXPERIMENT}-paper" if at == "paper" else EXPERIMENT


def complete(records: Store, at: str, jobs: int = 1) -> None:
    """Run what the reference files of a scale lack: at mini the trial, then translations and their quality, then the
    full grid; resumable. InputError at smoke, and when the trial chooses otherwise than the scale does."""
    if at == "smoke":
        raise InputError("grid 'full' at scale smoke: its runs are no results; use --scale mini (or paper)")
    if at == "mini":
        self_train_trial.complete(records, at, jobs)
    name, quality = reference_name(at), f"{self_train_quality.QUALITY}{'-paper' if at == 'paper' else ''}"
    self_train.prepare(records.missing_in_reference(name, full_grid(at)), jobs)
    records.complete_reference(quality, self_train_quality.qualities(at), self_train_quality.measure, jobs=jobs)
    records.complete_reference(name, full_grid(at), self_train.run, jobs=jobs)


def reference(at: str = "mini", name: str = "") -> pd.DataFrame:
    """The committed records, one row a metric; empty when there are none. `name`: "" or self_train_quality.QUALITY."""
    file = (name or EXPERIMENT) + ("-paper" if at == "paper" else "")
    return store.reference(file) if (store.REFERENCE / f"{file}.parquet").exists() else pd.DataFrame()


# Tables ---------------------------------------------------------------------------------------------------------------


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run and test language: its score in the task's metric (`value`, 0 to 1), and in `validation` the mean
    of its scores on English validation items and on the same items as the method translated them (NaN without any)."""
    if frame.empty:
        return frame
    part = frame[frame["metric"] == frame["task"].map({name: task.metric for name, task in TASKS.items()})]
    test, held = part[part["split"] == "test"].copy(), part[part["split"] == "validation"]
    by_language = held.set_index(["id", "language"])["value"]
    english = by_language[by_language.index.get_level_values("language") == SOURCE].droplevel("language")
    own = [by_language.get((row.id, row.language), np.nan) for row in test.itertuples()]
    both = pd.DataFrame({"english": test["id"].map(english).to_numpy(dtype=float), "own": own})
    test["validation"] = both.mean(axis=1).to_numpy()  # NaN for live runs, which have none
    return test.assign(translator=test["translator"].fillna("none"))


def whole_seeds(part: pd.DataFrame) -> pd.DataFrame:
    """Of a grid that was stopped, the runs of those seeds that have as many as the fullest seed: the others would weigh
    some settings more."""
    if part.empty:
        return part
    runs = part.groupby("seed")["id"].nunique()
    return part[part["seed"].isin(runs.index[runs == runs.max()])]


CELL = ["task", "decoder", "train_size", "translator", "training", "language"]


def best(part: pd.DataFrame, keep: int | None = KEPT) -> pd.DataFrame:
    """The `keep` runs of each cell that are best on validation items (ties by seed, then rate); None keeps all."""
    if keep is None:
        return part
    order = part.sort_values(["validation", *RUN], ascending=[False, True, True])
    return order.groupby(CELL, sort=False).head(keep)


def cells(part: pd.DataFrame, keep: int | None = KEPT) -> pd.DataFrame:
    """Mean, sample sd and n of each cell's reported runs."""
    return best(part, keep).groupby(CELL, sort=False)["value"].agg(["mean", "std", "count"]).reset_index()


def compared(part: pd.DataFrame, keep: int | None = KEPT, baseline: str = D_SRC) -> pd.DataFrame:
    """Each cell against the baseline of its task, decoder, size and language by Welch's t-test with sample sd: columns
    `gain`, `p`, and `star` (better, p < 0.05), as Tables 3, 8, 9, 10 and 11 have it."""
    found = cells(part, keep)
    where = ["task", "decoder", "train_size", "language"]
    base = found[found["training"] == baseline].set_index(where)[["mean", "std", "count"]]
    rows = []
    for row in found[found["training"] != baseline].to_dict("records"):
        key = tuple(row[name] for name in where)
        if key in base.index:
            test = welch_of((row["mean"], row["std"], row["count"]), base.loc[key].tolist())
            gain = row["mean"] - base.loc[key, "mean"]
            rows.append(row | {"baseline": base.loc[key, "mean"], "gain": gain, "p": test.p if test else np.nan})
    frame = pd.DataFrame(rows)
    return frame.assign(star=(frame["p"] < 0.05) & (frame["gain"] > 0)) if len(frame) else frame


def welch_of(one: Sequence[float], other: Sequence[float]) -> Test | None:
    """Welch's test of two (mean, sd, n); None when neither varies or a side has one run."""
    if min(one[2], other[2]) < 2 or not (one[1] or other[1]):
        return None
    return welch(*map(float, one[:2]), int(one[2]), *map(float, other[:2]), int(other[2]))


def by_run(part: pd.DataFrame, translator: str = "self") -> pd.DataFrame:
    """Scores with a row for each (task, decoder, language, seed, learning_rate) and a column for each training set, the
    translated ones by `translator`; all runs, none left out. Target languages only: of English there is a score for
    each language that was translated into (`english_gain`)."""
    part = part[part["translator"].isin(["none", translator]) & (part["language"] != SOURCE)]
    return statistics.pivot(part, ["task", "decoder", "language", *RUN], "training", "value")


def spread(part: pd.DataFrame, rows: str | list[str], columns: str) -> pd.DataFrame:
    """Scores as a table of mean [95 % CI over seeds], n; a seed's rates are averaged (`effect`)."""
    return statistics.spread(part, rows, columns, runs=[UNIT])


def effect(table: pd.DataFrame, better: str, worse: str, **where: object) -> pd.Series:
    """Per seed, the difference of two training sets, averaged over rates, tasks and languages. `where` keeps one value,
    or a list of them, of an index level.

    The unit is the seed. A seed's runs at two rates share first weights, order of batches and decoder, so six runs are
    three seeds twice (`same_seed` measures how alike they are).
    """
    for level, value in where.items():
        values = [value] if isinstance(value, str) else list(value)
        table = table[table.index.get_level_values(level).isin(values)]
    if better not in table or worse not in table:
        return pd.Series(dtype=float)
    return (table[better] - table[worse]).dropna().groupby(UNIT).mean()


def same_seed(table: pd.DataFrame, better: str, worse: str) -> float:
    """How alike a seed's gains at its two rates are: the intraclass correlation of gains (averaged over tasks and
    languages) by seed, from the mean squares of a one-way analysis of variance; 0: runs of a seed are as unlike as runs
    of different seeds, 1: they are the same, below 0: they differ more. nan for one rate or seed."""
    gains = (table[better] - table[worse]).dropna().groupby(RUN).mean().unstack().dropna()
    seeds, rates = gains.shape
    if min(seeds, rates) < 2:
        return float("nan")
    between = rates * gains.mean(axis=1).var(ddof=1)
    within = gains.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (rates - 1) * within))


def gain_row(table: pd.DataFrame, **where: str) -> dict[str, str]:
    """Both training sets and the gain of +D_tgt, each mean [95 % CI over seeds], n, where the levels of `by_run` have
    these values; a seed's rates are averaged (`effect`)."""
    for level, value in where.items():
        table = table[table.index.get_level_values(level) == value]
    present = [name for name in (D_SRC, D_TGT) if name in table and len(table)]
    told = {name: str(summary(table[name].dropna().groupby(UNIT).mean())) for name in present}
    gain = effect(table, D_TGT, D_SRC)
    return told | ({"gain": str(summary(gain))} if len(gain) else {})


# Claims ---------------------------------------------------------------------------------------------------------------


ONE_DECODER = "one pretrained decoder; n counts tunings of it, and other pretrainings could give other gains"
NOT_POOR = (
    "the claim is about poor translation into Thai, of which the paper's filters keep half; here they keep over 90 %"
)
POOR = 0.75
"""S02's premise: translation into Thai is poor when the filters keep less than this share of what they keep in the
other languages (the paper's keep about half in Thai, and nine in ten elsewhere)."""


def absent(at: str = "mini") -> set[str]:
    """The tasks of which the reference files lack runs of today's grids."""
    wanted = {"": full_grid(at), self_train_quality.QUALITY: self_train_quality.qualities(at)}
    return {task for name, specs in wanted.items() for task in pending.missing(reference(at, name), specs)}


def ledger(frame: pd.DataFrame, quality: pd.DataFrame, absent: Collection[str] = ()) -> pd.DataFrame:
    """Paper 3's rows of the replication ledger, from the reference runs; all "not run" without them. `absent`: tasks
    whose runs are not complete (`self_train_grid.absent`)."""
    if frame.empty:
        return published.ledger([], "self_translate_train")
    part, s = scores(frame), self_scale("mini")
    main = part[part["decoder"] == s.main]
    table, outside, sizes = by_run(main), by_run(main, "external"), by_run(part[part["decoder"].isin(s.decoders)])
    targets, tasks = list(s.languages), list(dict.fromkeys(main["task"]))
    test = "difference by seed, averaged over rates, tasks and target languages; t interval over seeds"
    each = f"{test}; part by part"
    gain = lambda found, **where: as_summary(effect(found, D_TGT, D_SRC, **where))  # noqa: E731
    size = {"task": s.live_task, "language": SIZE_LANGUAGES}  # the task that all sizes were tuned on
    in_thai = Part("Thai", gain(table, language="th"), "=0")
    rows = [
        LedgerRow("S01", gain(table, language=targets), "mini", test, note=ONE_DECODER,
                  shown=tuple(Part(task, gain(table, language=targets, task=task)) for task in tasks)),
        LedgerRow("S02", scale="mini", test=each, decided=None if poor_thai(quality) else Verdict.PREMISE_NOT_MET,
                  parts=(in_thai, *(Part(code, gain(table, language=code)) for code in targets if code != "th")),
                  note="" if poor_thai(quality) else NOT_POOR),
        LedgerRow("S03", as_summary(effect(table, D_CS, D_TGT, language=targets)), "mini", test, "=0",
                  shown=tuple(Part(t, as_summary(effect(table, D_CS, D_TGT, language=targets, task=t)), "=0")
                              for t in tasks)),
        LedgerRow("S05", scale="mini", test=f"{test}; each size", note=f"{ONE_DECODER}; one of each size",
                  parts=tuple(Part(d, gain(sizes, decoder=d, **size)) for d in s.decoders),
                  shown=tuple(Part(f"Thai, {d}", gain(sizes, decoder=d, task=s.live_task, language="th"))
                              for d in s.decoders)),
        LedgerRow("S06", note="about one released model; its counterpart would be a run at scale paper"),
        LedgerRow("S07", scale="mini", test="English: difference by seed, averaged over rates; t interval over seeds",
                  parts=english_parts(main)),
        LedgerRow("S08", scale="mini", test=each,
                  parts=(Part("D_tgt alone - D_src", as_summary(effect(table, ALONE, D_SRC, language=targets))),
                         Part("D_src + D_tgt - D_tgt alone",
                              as_summary(effect(table, D_TGT, ALONE, language=targets))))),
        LedgerRow("S09", scale="mini", test=each,
                  parts=tuple(Part(c, gain(outside, task="problems", language=c)) for c in targets)),
    ]  # fmt: skip
    if not quality.empty:
        found = self_train_quality.bleu_parts(self_train_quality.points(part, quality), quality)
        told = "least squares of the gain on log BLEU and the baseline over cells (language and translator); t interval"
        rows.append(LedgerRow("S04", scale="mini", test=told, parts=found, note=self_train_quality.COUPLED))
    needs = {claim: {"problems"} for claim in ("S04", "S05", "S09")} | {"S06": set()}
    rows = pending.held_back(rows, needs, set(absent))
    return published.ledger(sorted(rows, key=lambda row: row.id), "self_translate_train")


def as_summary(found: pd.Series) -> Summary | None:
    """The summary of an effect by seed; None when there are no runs."""
    return summary(found) if len(found) else None


def poor_thai(quality: pd.DataFrame, decoder: str | None = None) -> bool:
    """Whether S02's premise is met: the filters keep much less of the main decoder's Thai than of other languages."""
    if quality.empty:
        return False
    part = quality[(quality["metric"] == "items kept") & (quality["translator"] == "self")]
    part = part[part["decoder"] == (decoder or self_scale("mini").main)]
    kept = part.groupby("language")["value"].mean()
    return bool("th" in kept and kept["th"] < POOR * kept.drop("th").mean())


def english_parts(main: pd.DataFrame) -> tuple[Part, ...]:
    """S07: in English, + D_tgt gains on word problems with de, ru and zh, does nothing with Thai, and nothing on
    questions."""
    part = main[main["language"] == SOURCE]
    parts = []
    for task, codes in part[part["training"] == D_TGT].groupby("task", sort=False)["languages"].unique().items():
        for code in codes:
            gains = (code != "th") and task == "problems"
            effect_of = english_gain(part[part["task"] == task], code)
            parts.append(Part(f"{task}, with {code}", as_summary(effect_of), ">0" if gains else "=0"))
    return tuple(parts)


def english_gain(part: pd.DataFrame, code: str) -> pd.Series:
    """Per seed, the gain of + D_tgt in a target language over D_src, of one task's scores in English."""
    base = part[part["training"] == D_SRC].set_index(RUN)["value"]
    other = part[(part["training"] == D_TGT) & (part["translator"] == "self") & (part["languages"] == code)]
    return (other.set_index(RUN)["value"] - base).dropna().groupby(UNIT).mean()
