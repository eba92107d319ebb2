"""What paper 4's records say: scores by pretraining seed, the claims, the choice of learning rates, the confounds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from xltlib import objective_models, pending, published, statistics
from xltlib.objectives import OBJECTIVES
from xltlib.published import LedgerRow
from xltlib.scales import OBJECTIVE_MINI
from xltlib.statistics import Summary, summary
from xltlib.trials import finished
from xltlib.verdicts import Part

DOUBLE = tuple(name for name, objective in OBJECTIVES.items() if objective.double)
SINGLE = tuple(name for name, objective in OBJECTIVES.items() if not objective.double)
CELL = ["method", "task", "language"]
UNIT = "pretraining_seed"
HOUSE = {
    "pooling": OBJECTIVE_MINI.pooling,
    "patience": 0,
    "limit": OBJECTIVE_MINI.limit,
    "variant": "",
    "start": "as pretrained",
}
"""Settings of the main grid that a confound changes. `start`: a text's first token; runs of objectives that have no
choice there do not name it."""


LEARNED = ("sentiment", "ner", "pos")
"""Tasks on which a switch can be seen: every model's mean accuracy in the main grid is more than .02 above the majority
class. In inference it is less (`tests/test_reference.py` holds this to the records)."""


@dataclass(frozen=True)
class Confound:
    """Something that differs between the paper's text and its released code, or a choice of ours, as a switch: settings
    that change, or a variant of the models; for which objectives and tasks."""

    changes: dict = field(default_factory=dict)
    variant: str = ""
    objectives: tuple[str, ...] = tuple(OBJECTIVES)
    tasks: tuple[str, ...] = LEARNED

    @property
    def settings(self) -> tuple:
        """The values of HOUSE's settings with the switch on."""
        return tuple((HOUSE | self.changes | {"variant": self.variant}).values())


CONFOUNDS = {
    "sum pooling": Confound({"pooling": "sum"}, tasks=("sentiment",)),
    "sum pooling with pads": Confound({"pooling": "sum with pads"}, tasks=("sentiment",)),
    "early stopping": Confound({"patience": 3}),
    "12 subwords": Confound({"limit": 12}, tasks=("ner", "pos")),
    "<s> first": Confound({"start": "<s>"}, objectives=("2-MT",)),
    **{
        name: Confound(variant=variant, objectives=objective_models.VARIANTS_OF[variant])
        for name, variant in (
            ("width 144", "wide"),
            ("post-norm", "post-norm"),
            ("released noise", "released-noise"),
            ("pretrained at 1e-3", "rate-1e-3"),
            ("pretrained at 1e-2", "rate-1e-2"),
        )
    },
}
"""Each is compared with the main grid's runs of the same model, task, language and seed. Pooling belongs to texts, the
limit of subwords to words."""
RELEASED = "released pooling"
"""Double stacks with the sum, single ones with the sum that counts pads: a comparison that needs no runs of its own."""


# Scores ---------------------------------------------------------------------------------------------------------------


def scores(frame: pd.DataFrame, metric: str = "f1_macro", split: str = "test") -> pd.DataFrame:
    """Scores with a row for each (mode, task, language, pretraining seed), heads and fine-tunings averaged, and a
    column for each objective (nan where its runs are not there)."""
    part = frame[(frame["metric"] == metric) & (frame["split"] == split)]
    every = statistics.pivot(part, [*CELL, UNIT, "head_seed"], "objective", "value")  # one run each
    return every.groupby(level=[*CELL, UNIT]).mean().reindex(columns=list(OBJECTIVES))


def by_seed(values: pd.Series, **where: str | Sequence[str]) -> pd.Series:
    """A difference of columns of `scores`, averaged within each pretraining seed. `where` keeps one value, or a list of
    them, of an index level."""
    for level, wanted in where.items():
        kept = [wanted] if isinstance(wanted, str) else list(wanted)
        values = values[values.index.get_level_values(level).isin(kept)]
    return values.dropna().groupby(UNIT).mean()


def cells(frame: pd.DataFrame, mode: str, metric: str = "f1_macro", unit: str = UNIT) -> pd.DataFrame:
    """Tables 1 to 4, 8 and 9: by task and objective a column for each language, mean [95 % CI over units], n. `unit`:
    pretraining_seed, or head_seed where there is one model of each objective only."""
    part = frame[(frame["metric"] == metric) & (frame["split"] == "test") & (frame["method"] == mode)]
    found = statistics.spread(part, ["task", "objective"], "language", runs=[unit])
    order = {name: i for i, name in enumerate(OBJECTIVES)}
    return found.sort_values(
        ["task", "objective"], key=lambda c: c.map(order) if c.name == "objective" else c, ignore_index=True
    )


def sources_of_spread(frame: pd.DataFrame, metric: str = "f1_macro") -> pd.DataFrame:
    """Standard deviations by mode and objective, from variances averaged over tasks and languages.

    Of the head seeds within one pretrained model, and how many there are; of the means of models with different
    pretraining seeds; and what is left of the latter without the share of the former that a mean of k head seeds still
    holds, 1/k of its variance (one-way analysis of variance; 0: nothing is left). Missing where models have one head
    seed.
    """
    part = frame[(frame["metric"] == metric) & (frame["split"] == "test")]
    of_model = part.groupby([*CELL, UNIT, "objective"])["value"].agg(["mean", "var", "size"])
    of_model["share"] = of_model["var"] / of_model["size"]
    kind = ["method", "objective"]
    within = of_model[["var", "share"]].groupby(kind).mean()
    between = of_model["mean"].groupby([*CELL, "objective"]).var().groupby(kind).mean()
    variances = {"head seeds": within["var"], "means of models": between}
    variances["pretraining alone"] = (between - within["share"]).clip(lower=0)
    found = pd.DataFrame({f"sd, {name}": values**0.5 for name, values in variances.items()})
    found.insert(0, "head seeds", of_model["size"].groupby(kind).max())
    return found.reset_index()


def over_majority(frame: pd.DataFrame, metric: str = "f1_macro") -> pd.DataFrame:
    """Scores less those of the majority class, averaged over languages within each pretraining seed: by mode and task
    the majority's own score, and for each objective mean [95 % CI] over pretraining seeds."""
    floor = scores(frame, f"majority_{metric}")
    by_unit = (scores(frame, metric) - floor).groupby(["method", "task", UNIT], sort=False).mean()
    own = floor.mean(axis=1).groupby(["method", "task"], sort=False).mean()
    rows = [
        {"method": mode, "task": task, "majority": own[mode, task]}
        | {name: str(summary(part[name].dropna())) for name in OBJECTIVES if name in part and part[name].notna().any()}
        for (mode, task), part in by_unit.groupby(["method", "task"], sort=False)
    ]
    return pd.DataFrame(rows)


# Claims ---------------------------------------------------------------------------------------------------------------


def gap(table: pd.DataFrame) -> pd.Series:
    """The mean of the double stacks less the mean of the single ones; nan where one of the five is missing."""
    means = (table[list(names)].mean(axis=1, skipna=False) for names in (DOUBLE, SINGLE))
    return next(means) - next(means)


def interaction(table: pd.DataFrame, rival: str = "CLM") -> pd.Series:
    """What translation adds in a double stack less what it adds in a single one: (2-MT - 2-LM) - (TLM - rival)."""
    return (table["2-MT"] - table["2-LM"]) - (table["TLM"] - table[rival])


def rivals(table: pd.DataFrame, one: str, others: Sequence[str], **where: str | Sequence[str]) -> dict[str, pd.Series]:
    """`one` less each of the others, by pretraining seed, where index levels have these values.

    "The best of several" is a claim against each rival. To subtract the best rival of each cell instead would be
    biased: the best of several equals is above their mean by luck, and more so the more there are.
    """
    return {f"{one} - {other}": by_seed(table[one] - table[other], **where) for other in others}


def effects(table: pd.DataFrame) -> dict[str, dict[str, pd.Series]]:
    """The paper's claims (claims.csv, B01 to B08) as differences by pretraining seed, a part for each rival, in B01 for
    each task and mode; each part is claimed to be above zero. B03 leaves out what the paper exempts: NER in Arabic, and
    inference (there five of six languages, which it does not name all)."""
    probing, tuned = {"method": "probing"}, {"method": "fine-tuning"}
    gaps, others = gap(table), [name for name in OBJECTIVES if name != "2-MT"]
    exempt = (table.index.get_level_values("task") == "ner") & (table.index.get_level_values("language") == "ar")
    return {
        "B01": {
            f"{task}, {mode}": by_seed(table["2-MT"] - table["2-LM"], task=task, method=mode)
            for mode in ("probing", "fine-tuning")
            for task in dict.fromkeys(table.index.get_level_values("task"))
        },
        "B02": {k: v for double in DOUBLE for k, v in rivals(table, double, SINGLE, **probing).items()},
        "B03": rivals(table[~exempt], "CLM", ["MLM", "TLM"], **probing, task=["sentiment", "ner", "pos"]),
        "B04": rivals(table, "MLM", ["CLM", "TLM"], **tuned, task=["pos", "ner", "nli"]),
        "B05": rivals(table, "TLM", ["CLM", "MLM"], **tuned, task="sentiment"),
        "B06": {"probing - fine-tuning": by_seed(gaps, **probing) - by_seed(gaps, **tuned)},
        "B07": {f"against TLM - {name}": by_seed(interaction(table, name)) for name in ("CLM", "MLM")},
        "B08": rivals(table, "2-MT", others),
    }


def parts(found: Mapping[str, pd.Series]) -> tuple[Part, ...]:
    """The parts of a claim with their effects as summaries over pretraining seeds."""
    return tuple(Part(name, _summary(values)) for name, values in found.items())


def best_of_cells(table: pd.DataFrame, one: str, others: Sequence[str]) -> pd.Series:
    """`one` less the best of the others in each cell: how the claims were once computed (`rivals`). Kept to show its
    bias: with equal models it is below zero."""
    return table[one] - table[list(others)].max(axis=1)


def ledger(frame: pd.DataFrame, absent: Collection[str] = ()) -> pd.DataFrame:
    """Paper 4's rows of the replication ledger, from the reference runs; all "not run" without them. `absent`: tasks
    whose runs are not complete (`objective_grid.absent`)."""
    if frame.empty:
        return published.ledger([], "objectives")
    test = "difference in macro-F1 by pretraining seed, averaged over tasks and languages; t interval over seeds"
    found = effects(scores(frame))
    rows = [LedgerRow(claim, scale="mini", test=test, parts=parts(values)) for claim, values in found.items()]
    return published.ledger(pending.held_back(rows, {"B05": {"sentiment"}}, set(absent)), "objectives")


def _summary(found: pd.Series) -> Summary | None:
    return summary(found) if len(found) else None


# Learning rates -------------------------------------------------------------------------------------------------------


def rates(frame: pd.DataFrame) -> pd.DataFrame:
    """The trial: validation macro-F1 by mode and learning rate, a column for each objective (heads and tasks averaged)
    and `mean` over the five (nan where one is missing); without the rates of a mode that have a run that diverged."""
    frame = finished(frame, ["method", "learning_rate"])
    part = frame[(frame["metric"] == "f1_macro") & (frame["split"] == "validation")]
    table = part.groupby(["method", "learning_rate", "objective"])["value"].mean().unstack()  # tasks and heads
    table = table.reindex(columns=list(OBJECTIVES))
    return table.assign(mean=table.mean(axis=1, skipna=False))


def chosen(frame: pd.DataFrame) -> dict[str, float]:
    """The learning rate of each mode, one for all models: the highest mean of `rates`, of equals the lower rate."""
    means = rates(frame)["mean"]
    return {mode: float(part.droplevel("method").sort_index().idxmax()) for mode, part in means.groupby("method")}


# Confounds ------------------------------------------------------------------------------------------------------------


def _pairs(main: pd.DataFrame, changed: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Test scores of changed runs (`value`) beside the main grid's of the same model, task, language and seed
    (`house`), with the name of the confound."""
    keys = [*CELL, "objective", UNIT, "head_seed"]
    before, after = (part[(part["metric"] == metric) & (part["split"] == "test")] for part in (main, changed))
    names = {confound.settings: name for name, confound in CONFOUNDS.items()}
    settings_of = after.reindex(columns=list(HOUSE)).fillna({"start": HOUSE["start"]})
    told = [names[settings] for settings in settings_of.itertuples(index=False, name=None)]
    found = after.assign(confound=told)[[*keys, "confound", "value"]]
    return found.merge(before[[*keys, "value"]].rename(columns={"value": "house"}), on=keys)


def confound_effects(main: pd.DataFrame, changed: pd.DataFrame, metric: str = "f1_macro") -> pd.DataFrame:
    """What each confound changes, by mode and objective: the main grid's mean and the changed one over tasks and
    languages, their difference, and its lowest and highest cell (a task and language; heads averaged). One pretraining
    seed: there is no interval."""
    by = ["confound", "method", "objective"]
    of_cell = _pairs(main, changed, metric).groupby([*by, "task", "language"], sort=False)[["house", "value"]].mean()
    of_cell["difference"] = of_cell["value"] - of_cell["house"]
    groups = of_cell.groupby(by, sort=False)
    found = groups[["house", "value", "difference"]].mean().rename(columns={"house": "main grid", "value": "changed"})
    lowest, highest = groups["difference"].min(), groups["difference"].max()
    return found.assign(lowest=lowest, highest=highest, cells=groups.size()).reset_index()


def contrasts(main: pd.DataFrame, changed: pd.DataFrame, metric: str = "f1_macro") -> pd.DataFrame:
    """What each confound does to the paper's comparisons, by mode: 2-MT - 2-LM, and double less single stacks, in the
    main grid and with the changed models in their places; over the confound's tasks and languages, the same seeds."""
    pairs = _pairs(main, changed, metric)
    with_pads, double = pairs["confound"].eq("sum pooling with pads"), pairs["objective"].isin(DOUBLE)
    released = pairs[(with_pads & ~double) | (pairs["confound"].eq("sum pooling") & double)]
    rows = []
    for (confound, mode), part in pd.concat([pairs, released.assign(confound=RELEASED)]).groupby(
        ["confound", "method"], sort=False
    ):
        every = statistics.pivot(part, ["task", "language", UNIT, "head_seed"], "objective", "value")
        after = every.groupby(level=["task", "language"]).mean()
        same = main[main["head_seed"].isin(part["head_seed"]) & main[UNIT].isin(part[UNIT])]
        house = scores(same, metric).xs(mode, level="method").droplevel(UNIT).loc[after.index]
        after = after.reindex(columns=house.columns).fillna(house)
        for name, of in (("2-MT - 2-LM", lambda t: t["2-MT"] - t["2-LM"]), ("double - single", gap)):
            numbers = {"main grid": of(house).mean(), "changed": of(after).mean()}
            rows.append({"confound": confound, "method": mode, "contrast": name} | numbers)
    return pd.DataFrame(rows, columns=["confound", "method", "contrast", "main grid", "changed"])


def both_counts(changed: pd.DataFrame) -> pd.DataFrame:
    """Words that were cut, counted both ways: by mode, task and language the share that was cut, the accuracy of the
    others, and the accuracy with cut words as errors (as released); means over objectives and heads."""
    part = changed[(changed["split"] == "test") & changed["metric"].isin(["cut", "accuracy", "accuracy_all"])]
    part = part[part["limit"] != HOUSE["limit"]]
    every = statistics.pivot(part, [*CELL, "objective", UNIT, "head_seed"], "metric", "value")
    return every.groupby(level=CELL).mean()[["cut", "accuracy", "accuracy_all"]]
