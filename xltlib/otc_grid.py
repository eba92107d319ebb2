"""Paper 1's grids of runs, and the tables that its notebooks make from their records."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from xltlib import otc, published, statistics, store
from xltlib.errors import InputError
from xltlib.languages import OTC_LANGUAGES, language
from xltlib.published import LedgerRow
from xltlib.scales import scale
from xltlib.statistics import Coefficient, mixed_model, summary
from xltlib.store import RunSpec, Store
from xltlib.trials import finished, trial
from xltlib.verdicts import Part

NAMES = {
    "zero-shot": "zero-shot",
    "translated-only": "translated only",
    "mixed": "original + translated",
    "original": "original",
}
"""Regimes as figures name them, from nothing to all."""
OTHER_READING = "mixed-into"
"""The regime that reads the paper otherwise: translations from the other languages, in place of those into them."""
REFERENCE_SEEDS = 10
TWO_SOURCES = ("en", "zh")
"""Source languages of every further condition: one European, one not; chosen before any run."""
CONTRASTS = ("infonce", "cosine", "margin", "supcon")
VARIANTS: dict[str, dict] = {
    "0.6/0.4": {"total": "convex"},
    "temperature 0.05": {"temperature": 0.05},
    "temperature 0.07": {"temperature": 0.07},
    "temperature 0.3": {"temperature": 0.3},
}
"""Readings of the loss that the document leaves open, each against InfoNCE at temperature 0.1, CE + 0.4 OTC."""


def training_sets(at: str, source: str, seeds: Sequence[int], size: int | None = None) -> list[RunSpec]:
    """The four training sets for one source language; `original` belongs to each test language itself."""
    runs = []
    for seed in seeds:
        runs += [otc.spec(at, source, regime, seed, size=size) for regime in ("zero-shot", "mixed")]
        runs += [otc.spec(at, code, "original", seed, target=code, size=size) for code in OTC_LANGUAGES]
        targets = [code for code in OTC_LANGUAGES if code != source]
        runs += [otc.spec(at, source, "translated-only", seed, target=code, size=size) for code in targets]
    return runs


def contrast_runs(at: str, source: str, seeds: Sequence[int], size: int | None = None) -> list[RunSpec]:
    """Original + translated with and without InfoNCE, the same seeds for both."""
    return [otc.spec(at, source, "mixed", seed, contrast=c, size=size) for seed in seeds for c in (None, "infonce")]


def live_sets(at: str, source: str) -> list[RunSpec]:
    """What notebook 02 runs."""
    return training_sets(at, source, range(scale(at).seeds), scale(at).live_size)


def live_contrast(at: str, source: str) -> list[RunSpec]:
    """What notebook 03 runs."""
    return contrast_runs(at, source, range(scale(at).contrast_seeds), scale(at).live_size)


def further_conditions(at: str, source: str, seeds: Sequence[int]) -> Iterator[RunSpec]:
    """Every other condition of a source language: losses, matching, the other reading, ratios, translation quality."""
    for seed in seeds:
        for contrast in CONTRASTS[1:]:
            yield otc.spec(at, source, "mixed", seed, contrast=contrast)
        for options in VARIANTS.values():
            yield otc.spec(at, source, "mixed", seed, contrast="infonce", **options)
        for match in ("rows", "steps"):
            yield otc.spec(at, source, "mixed", seed, match=match)
        yield otc.spec(at, source, "mixed-into", seed)
        for ratio in ("2:1", "1:2", "1:5"):
            yield otc.spec(at, source, "mixed", seed, ratio=ratio)
        for quality in otc.TRANSLATORS[1:] if scale(at).corpus == "reviews" else otc.TRANSLATORS[1:3]:
            yield otc.spec(at, source, "mixed", seed, quality=quality)


def full_grid(at: str, seeds: int = REFERENCE_SEEDS) -> list[RunSpec]:
    """The reference grid: training sets and OTC for every source language, the further conditions for two.

    Seed by seed: a grid that was stopped has fewer seeds of every condition."""
    runs: list[RunSpec] = []
    for seed in range(seeds):
        for source in OTC_LANGUAGES:
            runs += training_sets(at, source, [seed]) + contrast_runs(at, source, [seed])
        for source in TWO_SOURCES:
            runs += further_conditions(at, source, [seed])
    return list(dict.fromkeys(runs))


RATES = (1e-3, 2e-3, 3e-3, 5e-3, 8e-3, 1.2e-2)


def learning_rates(at: str, seeds: int = 3) -> list[RunSpec]:
    """The trial that the scale's learning rate comes from: English alone, judged on English validation reviews."""
    return [otc.spec(at, "en", "zero-shot", seed, learning_rate=rate) for seed in range(seeds) for rate in RATES]


def reference_name(at: str) -> str:
    """The reference file of a scale: mini's is committed; smoke, which proves nothing, shows mini's."""
    return "otc-paper" if at == "paper" else "otc"


def complete(records: Store, at: str, jobs: int = 1) -> None:
    """Run what the reference file of a scale lacks of the full grid, and of the learning-rate trial before it.

    What is stopped goes on where it was: from the store on this machine, from the file on another one. InputError at
    smoke, whose runs are no results.
    """
    if at == "smoke":
        raise InputError("grid 'full' at scale smoke: its runs are no results; use --scale mini (or paper)")
    name = reference_name(at)
    parts = ((f"{name}-rates", learning_rates(at), trial(otc.run)), (name, full_grid(at), otc.run))
    for file, wanted, run in parts:
        otc.prepare(records.missing_in_reference(file, wanted), jobs)
        records.complete_reference(file, wanted, run, jobs=jobs)


def reference(at: str = "mini", part: str = "") -> pd.DataFrame:
    """The committed records of the full grid, one row a metric; empty when there are none. `part`: "-rates" for the
    learning-rate trial."""
    name = reference_name(at) + part
    return store.reference(name) if (store.REFERENCE / f"{name}.parquet").exists() else pd.DataFrame()


def rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Validation accuracy on the source language by learning rate: mean [95 % CI over seeds], n; without the rates that
    have a run that diverged (`trials.lost`)."""
    frame = finished(frame, "learning_rate")
    cells = frame[frame["metric"] == "validation"].groupby("learning_rate")["value"]
    found = cells.apply(lambda values: str(summary(values))).rename("accuracy on English validation reviews")
    return found.reset_index().rename(columns={"learning_rate": "learning rate"})


def scores(frame: pd.DataFrame, metric: str = "f1_micro") -> pd.DataFrame:
    """One row a run and language for a metric, with two names: `training` (the set) and `condition` (what differs from
    the plain set: the contrastive loss, ratio, matching, translator)."""
    if frame.empty:
        return frame
    part = frame[frame["metric"] == metric].copy()
    part["training"] = part["regime"].map(NAMES).fillna(part["regime"])
    part["condition"] = [_condition(row) for row in part.to_dict("records")]
    order = {name: i for i, name in enumerate(NAMES.values())}
    return part.sort_values(
        ["training", "seed"], key=lambda column: column.map(order) if column.name == "training" else column
    )


def _condition(row: dict) -> str:
    parts = ["other reading"] if row["regime"] == OTHER_READING else []
    if _given(row["contrast"]):
        parts.append({"infonce": "OTC", "supcon": "SupCon"}.get(row["contrast"], f"OTC {row['contrast']}"))
        if row["total"] != "sum":
            parts.append("0.6/0.4")
        if row["temperature"] != 0.1:
            parts.append(f"temperature {row['temperature']:g}")
    if _given(row["ratio"]) and row["ratio"] != "1:1":
        parts.append(row["ratio"])
    if row["match"] != "none":
        parts.append(f"same {row['match']}")
    if _given(row["quality"]) and row["quality"] != "default":
        parts.append(row["quality"])
    return ", ".join(parts) or "plain"


def _given(value: object) -> bool:
    return value is not None and value == value


def plain_sets(frame: pd.DataFrame, metric: str = "f1_micro") -> pd.DataFrame:
    """The scores of the four training sets alone."""
    part = scores(frame, metric)
    return part[(part["condition"] == "plain") & part["regime"].isin(NAMES)] if not part.empty else part


def conditions(frame: pd.DataFrame, metric: str = "f1_micro") -> pd.DataFrame:
    """The scores of original + translated in all its conditions. "plain" is that set with cross-entropy alone and all
    else as the scale has it: the one baseline of every contrastive loss. The other reading, which never sees the test
    language, is another training set, and no row of it is here."""
    part = scores(frame, metric)
    return part[part["regime"] == "mixed"] if not part.empty else part


def by_run(part: pd.DataFrame, columns: str) -> pd.DataFrame:
    """Scores on languages other than the source as a table: a row for each (source, seed, language), a column for each
    value of `columns`. Training on `original` has no source: its run stands beside every source's."""
    own = part[part["regime"] == "original"]
    sources = part.loc[part["regime"] != "original", "source"].unique()
    spread = pd.concat([own.assign(source=source) for source in sources]) if len(sources) else own
    rows = pd.concat([part[part["regime"] != "original"], spread])
    rows = rows[rows["language"] != rows["source"]]
    return statistics.pivot(rows, ["source", "seed", "language"], columns, "value")


def effect(table: pd.DataFrame, better: str, worse: str, **where: str) -> pd.Series:
    """Per seed, the difference of two columns of `by_run`, averaged over sources and target languages: the run-level
    effect. `where`: language= or source= keeps one of them."""
    for level, value in where.items():
        table = table[table.index.get_level_values(level) == value]
    return (table[better] - table[worse]).dropna().groupby("seed").mean()


def gains(table: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], by: str | None = None) -> pd.DataFrame:
    """Differences of columns of `by_run`, each mean [95 % CI over seeds], n.

    `pairs` maps a name to (better, worse). Without `by`: a line a pair, with the verdict on "better is better".
    With by="language" or "source": a line a language and a column a pair.
    """
    if by is None:
        effects = {name: summary(effect(table, *pair)) for name, pair in pairs.items()}
        verdicts = [str(published.verdict(found, ">0")) for found in effects.values()]
        differences = [" - ".join(pair) for pair in pairs.values()]
        columns = {"claim": list(pairs), "difference": differences, "ours": list(map(str, effects.values()))}
        return pd.DataFrame(columns | {"verdict": verdicts})
    values = [value for value in OTC_LANGUAGES if value in table.index.get_level_values(by)]
    lines = {name: [str(summary(effect(table, *pair, **{by: v}))) for v in values] for name, pair in pairs.items()}
    return pd.DataFrame({by: [language(v).name for v in values]} | lines)


def gains_over(part: pd.DataFrame, names: Sequence[str], base: str = "plain") -> pd.DataFrame:
    """Per seed and condition, the gain over a base condition: columns condition, seed, value, and gain for a legend."""
    table = by_run(part, "condition")
    rows = [
        effect(table, name, base).rename("value").reset_index().assign(condition=name)
        for name in names
        if name in table
    ]
    return pd.concat(rows, ignore_index=True).assign(gain=f"gain over {base}")


def spread(part: pd.DataFrame, rows: str | list[str], columns: str) -> pd.DataFrame:
    """Scores as a table of mean [95 % CI over runs], n."""
    return statistics.spread(part, rows, columns)


GEOMETRY = ("pair_cosine", "random_cosine", "alignment", "uniformity", "retrieval")


def space(frame: pd.DataFrame) -> pd.DataFrame:
    """The embedding space of each condition (see `geometry`), averaged over runs and target languages."""
    part = pd.concat([conditions(frame, measure) for measure in GEOMETRY])
    return part.groupby(["condition", "metric"])["value"].mean().unstack()[list(GEOMETRY)].reset_index()


def otc_regression(part: pd.DataFrame, groups: Sequence[str]) -> Coefficient:
    """The OTC coefficient of a mixed model over the rows of `conditions` (a run on a test language other than its own):
    f1 ~ with_otc with random intercepts for `groups` (seed, source, test_language)."""
    rows = part[(part["regime"] == "mixed") & part["condition"].isin(["plain", "OTC"])]
    rows = rows[rows["language"] != rows["source"]]
    named = rows.assign(with_otc=(rows["condition"] == "OTC").astype(float), test_language=rows["language"])
    return mixed_model(named.rename(columns={"value": "f1"}), "f1 ~ with_otc", groups=groups)


def european_gap(part: pd.DataFrame) -> pd.Series:
    """Claim O04, per seed: for European source languages, the mean score on the other European test languages minus
    that on Japanese and Chinese."""
    european = {code for code in OTC_LANGUAGES if language(code).european}
    rows = part[part["source"].isin(european) & (part["language"] != part["source"])]
    near = rows["language"].isin(european)
    return rows[near].groupby("seed")["value"].mean() - rows[~near].groupby("seed")["value"].mean()


def ledger(reference: pd.DataFrame) -> pd.DataFrame:
    """Paper 1's rows of the replication ledger, from the reference runs at mini scale; all "not run" without them."""
    if reference.empty:
        return published.ledger([], "otc")
    table, otc_table = by_run(plain_sets(reference), "training"), by_run(conditions(reference), "condition")
    mixed = plain_sets(reference).query("regime == 'mixed'")
    test = "difference by seed, averaged over source languages and the other test languages; t interval over seeds"
    each = "difference by seed in each test language, averaged over source languages; t interval over seeds"
    rows = [
        LedgerRow("O01", scale="mini", test=each, parts=in_each_language(table, "translated only", "zero-shot"),
                  shown=(Part("original + translated - zero-shot, another reading of \"translated only\"",
                              summary(effect(table, "original + translated", "zero-shot"))),)),
        LedgerRow("O02", scale="mini", test=each, parts=in_each_language(table, "original", "translated only")),
        LedgerRow("O03", summary(effect(otc_table, "OTC", "plain")), "mini", test,
                  shown=(*(Part(f"trained on {language(code).name}",
                                summary(effect(otc_table, "OTC", "plain", source=code))) for code in OTC_LANGUAGES),
                         Part("tested on the source language itself", summary(at_home(conditions(reference))))),
                  note=TRANSFER),
        LedgerRow("O04", summary(european_gap(mixed)), "mini", test),
    ]  # fmt: skip
    return published.ledger(rows, "otc")


TRANSFER = (
    "the effect is on languages other than the source, as everything in paper 1 is about transfer; on the source "
    "language itself the loss costs more than it gains elsewhere, and over all languages its effect would be below zero"
)
"""What to know of O03."""


def at_home(part: pd.DataFrame) -> pd.Series:
    """Per seed, OTC less plain on the source language itself, averaged over source languages; rows of `conditions`."""
    home = part[part["language"] == part["source"]]
    table = statistics.pivot(home, ["source", "seed"], "condition", "value")
    return (table["OTC"] - table["plain"]).dropna().groupby("seed").mean()


def in_each_language(table: pd.DataFrame, better: str, worse: str) -> tuple[Part, ...]:
    """The parts of a claim on every test language."""
    codes = [code for code in OTC_LANGUAGES if code in table.index.get_level_values("language")]
    return tuple(Part(language(c).name, summary(effect(table, better, worse, language=c))) for c in codes)
