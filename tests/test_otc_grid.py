"""Paper 1's tables: a baseline is one training set, and the claims have the numbers that the records give."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from xltlib import otc_grid, published
from xltlib.errors import InputError

KEY = ["source", "seed", "language"]


def recomputed(frame: pd.DataFrame) -> pd.Series:
    """O03 by seed, in plain pandas: original + translated with InfoNCE, less the same set with cross-entropy alone."""
    part = frame[
        (frame["metric"] == "f1_micro") & (frame["regime"] == "mixed") & (frame["language"] != frame["source"])
    ]
    part = part[(part["ratio"] == "1:1") & (part["match"] == "none") & (part["quality"] == "default")]
    plain = part[part["contrast"].isna()].set_index(KEY)["value"]
    with_loss = part[part["contrast"].eq("infonce") & part["total"].eq("sum") & part["temperature"].eq(0.1)]
    gain = with_loss.set_index(KEY)["value"] - plain
    assert gain.notna().all() and len(gain) == 10 * 6 * 5
    return gain.groupby("seed").mean()


def test_o03_is_what_plain_pandas_gives():
    gains = recomputed(otc_grid.reference())
    half = stats.t.ppf(0.975, 9) * gains.std(ddof=1) / np.sqrt(10)
    row = published.load_ledger("otc").set_index("id").loc["O03"]
    assert row[["mean", "low", "high"]].tolist() == pytest.approx(
        [gains.mean(), gains.mean() - half, gains.mean() + half], abs=1e-6
    )
    assert [round(x, 4) for x in row[["mean", "low", "high"]]] == [0.0090, 0.0059, 0.0120] and row["n"] == 10


def test_the_committed_ledger_of_paper_1_is_what_its_records_give():
    found = otc_grid.ledger(otc_grid.reference())
    assert published.compare_ledgers(found, published.load_ledger("otc")) == []


def test_a_baseline_holds_exactly_one_training_set():
    """Every condition of the tables is one setting of everything but source, seed and language."""
    part = otc_grid.conditions(otc_grid.reference())
    settings = ["regime", "contrast", "total", "temperature", "match", "ratio", "quality", "weight", "epochs", "batch"]
    kinds = part.fillna({"contrast": "none"}).groupby("condition")[settings].nunique(dropna=True)
    assert (kinds <= 1).all(axis=None) and part.loc[part["condition"] == "plain", "regime"].unique().tolist() == [
        "mixed"
    ]


def test_a_second_training_set_under_one_name_is_refused():
    """What went wrong once: the other reading's rows under the name of the baseline."""
    every = otc_grid.scores(otc_grid.reference())
    into = every[every["regime"] == otc_grid.OTHER_READING]
    assert set(into["condition"]) == {"other reading"}
    pooled = pd.concat([otc_grid.conditions(otc_grid.reference()), into.assign(condition="plain")])
    with pytest.raises(InputError, match=r"rows of one cell.*regime"):
        otc_grid.by_run(pooled, "condition")


def test_figure_table_and_regression_compare_the_same_rows():
    part = otc_grid.conditions(otc_grid.reference())
    table = otc_grid.effect(otc_grid.by_run(part, "condition"), "OTC", "plain")
    two = part[part["source"].isin(otc_grid.TWO_SOURCES)]
    figure = otc_grid.gains_over(two, ["OTC"]).set_index("seed")["value"]
    by_source = [
        otc_grid.effect(otc_grid.by_run(part, "condition"), "OTC", "plain", source=code)
        for code in otc_grid.TWO_SOURCES
    ]
    assert figure.to_list() == pytest.approx(((by_source[0] + by_source[1]) / 2).to_list())
    fit = otc_grid.otc_regression(part, ["seed", "source", "test_language"])
    assert fit.value == pytest.approx(table.mean(), abs=1e-6) and fit.n == 600
    with_other = otc_grid.scores(otc_grid.reference())
    same = otc_grid.otc_regression(with_other, ["seed", "source", "test_language"])
    assert same.value == pytest.approx(fit.value) and same.n == fit.n


def test_claims_on_every_language_have_a_part_each():
    ledger = otc_grid.ledger(otc_grid.reference()).set_index("id")
    for claim in ("O01", "O02"):
        parts = ledger.at[claim, "parts"].split("; ")
        assert len(parts) == 6 and all(part.endswith("reproduced") for part in parts)
        assert f"{ledger.at[claim, 'mean']:.3f}" in ledger.at[claim, "parts"]
    assert "0.055" in ledger.at["O01", "shown"]
