"""How good paper 3's translations are, and whether better ones give larger gains."""

import numpy as np
import pandas as pd

from xltlib import published, self_train, text_tasks
from xltlib.models import fingerprint
from xltlib.scales import self_scale
from xltlib.self_train import FIELDS, SOURCE, TRAINING, version_of
from xltlib.statistics import Summary
from xltlib.store import Result, RunSpec
from xltlib.verdicts import Part

QUALITY = "self-translation"
"""Experiment of the runs that measure translations."""
VERSION = 2
"""Version of measuring a translator; what is measured has its own (`self_train.version_of`), which is added. Second
version: BLEU over characters, too."""
D_SRC, D_TGT = TRAINING[:2]
RUN = ["seed", "learning_rate"]
CHARACTERS = "BLEU, characters"
"""BLEU with one tokenizer for all languages, characters: scores of languages can be compared with each other."""
LEAST = 0.1
"""BLEU below this counts as this: its logarithm would have no bound."""


def quality_spec(
    at: str, task: str, code: str, translator: str = "self", decoder: str | None = None, live: bool = False
) -> RunSpec:
    """The spec of measuring a translator on a task: filters on training items, BLEU on test items (`live`: fewer
    of both)."""
    s = self_scale(at)
    decoder = decoder or s.main
    settings = {
        "scale": at, "task": task, "languages": [code], "decoder": decoder, "translator": translator,
        "train_size": s.live_size if live else s.train_size, "test_size": s.live_test if live else s.test_size,
        "translations": [self_train.signature(at, task, code, translator, decoder)],
    }  # fmt: skip
    corpus, version = self_train.corpus_name(at, task), VERSION + version_of(at, task) - 1
    return RunSpec(QUALITY, translator, version, corpus, fingerprint(decoder), 0, settings)


def qualities(at: str) -> list[RunSpec]:
    """Tables 2 and 6 and the counts of A.3."""
    s = self_scale(at)
    found = [quality_spec(at, task, code) for task in s.tasks for code in s.languages]
    found += [quality_spec(at, s.live_task, code, "external") for code in s.languages]
    decoders = dict.fromkeys([*s.decoders, *([s.labelled] if s.labelled else [])])
    return found + [
        quality_spec(at, s.live_task, code, decoder=name) for name in decoders if name != s.main for code in s.languages
    ]


def measure(run_spec: RunSpec) -> Result:
    """Counts of lost fields on training items, and BLEU of the first field of test items against the corpus' own text
    in the target language (at mini written by the same grammar)."""
    from xltlib.translation import COMPARABLE, bleu

    s = run_spec.settings
    (code,), field = s["languages"], FIELDS[s["task"]][0]
    arguments = (s["task"], code, "train", s["train_size"], s["translator"], s["decoder"])
    made, lost = self_train.translated(s["scale"], *arguments)
    rows = [_row(code, "items kept", sum(item is not None for item in made) / len(made), len(made))]
    english = text_tasks.items(s["task"], SOURCE, "train", len(made), s["scale"])
    for name, reasons in lost.items():
        n = sum(len(self_train.texts_of(item, name)) for item in english)
        rows += [_row(code, f"{name}: {reason}", count, n) for reason, count in reasons.items()]
    both = [text_tasks.items(s["task"], c, "test", s["test_size"], s["scale"]) for c in (SOURCE, code)]
    texts, references = ([_one_text(item, field) for item in side] for side in both)
    outputs = self_train.raw_translations(s["scale"], s["task"], code, field, s["translator"], s["decoder"], texts)
    for metric, tokenize in (("BLEU", None), (CHARACTERS, COMPARABLE)):
        score, signature = bleu(outputs, references, code, tokenize=tokenize)
        rows.append(_row(code, metric, score, len(texts)) | {"signature": signature})
    return Result(rows)


def _row(code: str, metric: str, value: float, n: int) -> dict:
    return {"language": code, "metric": metric, "value": float(value), "n": n, "n_effective": n}


def _one_text(item: text_tasks.Item, field: str) -> str:
    found = item.fields[field]
    return found if isinstance(found, str) else found[0]


def bleu_table(quality: pd.DataFrame, metric: str = "BLEU") -> pd.Series:
    """BLEU by (decoder or "external", language) on word problems; `metric`: "BLEU", with each language's tokenizer, or
    CHARACTERS."""
    part = quality[(quality["metric"] == metric) & (quality["task"] == "problems")]
    names = part["decoder"].where(part["translator"] == "self", "external")
    return part.assign(by=names).set_index(["by", "language"])["value"]


def points(part: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    """Our cells of word problems (language x decoder, and the external translator), one row a run: its seed and rate,
    `gain` of +D_tgt, the translator's `bleu`, the `baseline` of the same seed and rate, `decoder`, `by`, `language`."""
    score = bleu_table(quality)
    part = part[(part["task"] == "problems") & part["training"].isin([D_SRC, D_TGT])]
    keys = ["decoder", "language", *RUN]
    base = part[part["training"] == D_SRC].set_index(keys)["value"]
    rows = []
    for row in part[part["training"] == D_TGT].to_dict("records"):
        by = row["decoder"] if row["translator"] == "self" else "external"
        key = tuple(row[name] for name in keys)
        if (by, row["language"]) in score.index and key in base.index:
            found = {"bleu": score.loc[by, row["language"]], "baseline": base.loc[key], "by": by}
            rows.append({name: row[name] for name in keys} | found | {"gain": row["value"] - base.loc[key]})
    return pd.DataFrame(rows, columns=[*keys, "bleu", "baseline", "by", "gain"])


def printed_points() -> pd.DataFrame:
    """The paper's cells in the same form, in points of accuracy: Tables 3 (MGSM), 8 and 11 with the BLEU of Table 6."""
    cells = published.cells("self_translate_train")
    cells = cells[(cells["dataset"] == "MGSM") & cells["table"].isin(["T3", "T8", "T11"])]
    score = published.cells("self_translate_train", table="T6").set_index(["translator", "language"])["value"]
    base = cells[cells["setting"] == "D_src"].set_index(["table", "language"])["value"]
    tuned = cells[cells["setting"] == "D_src+D_tgt"]
    rows = [
        {"decoder": row.model, "language": row.language, "by": row.translator, "table": row.table,
         "bleu": score.loc[row.translator, row.language], "baseline": base.loc[row.table, row.language],
         "gain": row.value - base.loc[row.table, row.language]}
        for row in tuned.itertuples()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def regression(cells: pd.DataFrame):
    """Ordinary least squares of the gain on log BLEU and the baseline (statsmodels); None where they do not tell the
    two apart."""
    import statsmodels.formula.api as smf

    cells = cells.assign(log_bleu=np.log(cells["bleu"].clip(lower=LEAST)))
    design = np.column_stack([np.ones(len(cells)), cells["log_bleu"], cells["baseline"]])
    if len(cells) < 4 or np.linalg.matrix_rank(design) < 3:
        return None
    return smf.ols("gain ~ log_bleu + baseline", cells).fit()


COUPLED = (
    "the gain is a difference from the baseline, itself a covariate: errors of the baseline alone would give it a "
    "coefficient below zero; BLEU goes with the decoder's size, so the coefficient of BLEU stands for size as well; "
    "cells of one decoder and language share their baseline, so they are not independent"
)
"""What to know of S04's regression."""


def bleu_parts(cells: pd.DataFrame, quality: pd.DataFrame) -> tuple[Part, ...]:
    """S04's two signs, from one point a cell (language and translator; runs averaged, since all runs of a cell share
    its BLEU): log BLEU above zero, with each tokenizer that there is, and the baseline below zero."""
    keys = ["by", "decoder", "language"]
    means = cells.groupby(keys, as_index=False)[["bleu", "gain", "baseline"]].mean()
    parts = []
    for name, metric in (("the paper's tokenizers", "BLEU"), ("characters in all languages", CHARACTERS)):
        score = bleu_table(quality, metric)
        if len(score):
            own = means.assign(bleu=[score.loc[by, code] for by, _, code in means[keys].itertuples(index=False)])
            fit = regression(own)
            for what, term, direction in (("log BLEU", "log_bleu", ">0"), ("baseline", "baseline", "<0")):
                p = None if fit is None else float(fit.pvalues[term])
                parts.append(Part(f"{what}, {name}", _coefficient(fit, term), direction, p))
    return tuple(parts)


def _coefficient(fit, term: str) -> Summary | None:
    """A coefficient with its 95 % interval; n counts cells."""
    if fit is None:
        return None
    low, high = fit.conf_int().loc[term]
    return Summary(float(fit.params[term]), float("nan"), float(low), float(high), int(fit.nobs))
