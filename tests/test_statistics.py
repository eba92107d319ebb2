"""xltlib.statistics against hand computation, scipy and simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from xltlib import statistics as st
from xltlib.errors import InputError


def test_summary_by_hand():
    result = st.summary([0.50, 0.52, 0.54])
    half = 4.302653 * 0.02 / math.sqrt(3)  # t(.975, 2 df) from a printed table
    assert (result.mean, result.sd, result.n) == (pytest.approx(0.52), pytest.approx(0.02), 3)
    assert (result.low, result.high) == (pytest.approx(0.52 - half), pytest.approx(0.52 + half))
    assert str(result) == "0.520 [0.470, 0.570], n = 3"


def test_one_value_has_no_interval():
    result = st.summary([0.5])
    assert result.mean == 0.5 and all(map(math.isnan, (result.sd, result.low, result.high)))


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [[1, 2], [3, 4]]])
def test_bad_values_are_one_line(values):
    with pytest.raises(InputError) as error:
        st.summary(values)
    assert "\n" not in str(error.value)


def test_bootstrap_brackets_the_mean_and_is_reproducible():
    values = np.random.default_rng(1).normal(size=200)
    result = st.bootstrap(values, n=2000)
    assert result == st.bootstrap(values, n=2000)
    assert result.sd == pytest.approx(values.std(ddof=1) / math.sqrt(200), rel=0.1)
    scipy_interval = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method="percentile", rng=3
    ).confidence_interval
    assert result.low == pytest.approx(scipy_interval.low, abs=0.02)
    assert st.bootstrap([1, 2, 30], np.median, n=500).mean == 2


def test_paired_difference_is_scipys():
    a, b = [0.50, 0.55, 0.61, 0.52], [0.48, 0.56, 0.55, 0.50]
    ours, theirs = st.paired_difference(a, b), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue) and ours.statistic == pytest.approx(theirs.statistic)
    assert (ours.effect.low, ours.effect.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_a_spread_counts_runs():
    frame = pd.DataFrame({
        "task": ["a"] * 4, "set": ["x"] * 4, "seed": [0, 0, 1, 1], "value": [0.1, 0.3, 0.4, 0.6],
    })  # fmt: skip
    assert st.spread(frame, "task", "set")["x"][0].endswith("n = 4")
    by_run = st.spread(frame, "task", "set", runs=["seed"])["x"][0]
    assert by_run.startswith("0.350") and by_run.endswith("n = 2")


def test_paired_difference_without_spread():
    assert st.paired_difference([2, 3, 4], [1, 2, 3]).p == 0
    assert st.paired_difference([1, 2, 3], [1, 2, 3]).p == 1
    with pytest.raises(InputError, match="differ in number: 3 and 2"):
        st.paired_difference([1, 2, 3], [1, 2])


def test_paired_bootstrap_sees_a_difference_and_no_difference():
    rng = np.random.default_rng(0)
    b = rng.integers(0, 2, 1000)
    better = np.where(rng.random(1000) < 0.1, 1, b)
    seen = st.paired_bootstrap(better, b, n=2000)
    assert seen.effect.mean == pytest.approx((better - b).mean()) and seen.effect.low > 0 and seen.p < 0.01
    assert st.paired_bootstrap(b, b, n=200).p == 1
    unrelated = st.paired_bootstrap(rng.integers(0, 2, 1000), b, n=5000)
    z = unrelated.effect.mean / (unrelated.effect.sd / math.sqrt(1000))
    assert unrelated.p == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.03)
    assert st.paired_bootstrap(rng.random(50), rng.random(50), n=300).effect.n == 50


@pytest.mark.parametrize("numbers", [(56.3, 1.5, 4, 53.7, 0.9, 4), (0.5, 0.02, 3, 0.6, 0.05, 9)])
def test_welch_is_scipys(numbers):
    ours, theirs = st.welch(*numbers), stats.ttest_ind_from_stats(*numbers, equal_var=False)
    assert ours.p == pytest.approx(theirs.pvalue) and ours.statistic == pytest.approx(theirs.statistic)
    m1, s1, n1, m2, s2, n2 = numbers
    wider = (m1, s1 * math.sqrt(n1 / (n1 - 1)), n1, m2, s2 * math.sqrt(n2 / (n2 - 1)), n2)
    assert st.welch(*numbers, ddof=0).p == pytest.approx(stats.ttest_ind_from_stats(*wider, equal_var=False).pvalue)


def test_welch_interval_and_p_agree():
    inside = st.welch(1.0, 1.0, 5, 0.0, 1.0, 5)
    assert (inside.effect.low < 0) == (inside.p > 0.05)
    with pytest.raises(InputError, match="two runs or more"):
        st.welch(1, 1, 1, 0, 1, 5)


def test_sign_test_by_hand():
    six = st.sign_test([0.02, 0.03, 0.05, 0.07, 0.09, 0.11])
    assert (six.positive, six.negative, six.ties) == (6, 0, 0) and six.p == pytest.approx(2 / 64)
    assert st.sign_test([1, -1, 0, 0]).p == 1
    assert st.sign_test([0, 0]).p == 1


def grid(effect: float, noise: float, seeds: int = 4, rng: int = 0) -> pd.DataFrame:
    """F1 = .5 + effect * otc + train language + test language + noise, crossed."""
    rng = np.random.default_rng(rng)
    train, test = rng.normal(0, 0.05, 4), rng.normal(0, 0.05, 5)
    rows = [(s, o, f"x{i}", f"y{j}", 0.5 + effect * o + train[i] + test[j] + rng.normal(0, noise))
            for s in range(seeds) for o in (0, 1) for i in range(4) for j in range(5)]  # fmt: skip
    return pd.DataFrame(rows, columns=["seed", "otc", "train", "test", "f1"])


def test_mixed_model_recovers_a_planted_effect():
    result = st.mixed_model(grid(0.036, 0.02), "f1 ~ otc", groups=["seed", "train", "test"])
    assert not result.fallback and result.model.startswith("MixedLM") and result.n == 160
    assert result.low < 0.036 < result.high and abs(result.value - 0.036) < 0.01 and result.p < 0.001
    # balanced design: the standard error is that of the difference of two means of residuals
    assert result.se == pytest.approx(0.02 * math.sqrt(2 / 80), rel=0.15)
    assert result.summary.low == result.low


def test_mixed_model_sees_nothing_where_nothing_is():
    covered = [st.mixed_model(grid(0, 0.03, 2, rng), "f1 ~ otc", groups=["train", "test"]) for rng in range(12)]
    assert sum(fit.low < 0 < fit.high for fit in covered) >= 10


def test_mixed_model_falls_back_flagged_and_silent():
    result = st.mixed_model(grid(0.036, 0), "f1 ~ otc", groups=["seed", "train", "test"])
    assert result.fallback and "OLS" in result.model and result.reason
    assert result.value == pytest.approx(0.036)


def test_mixed_model_bad_input():
    frame = grid(0, 0.01)
    for arguments, words in [
        (("f1 ~ otc", ["nowhere"]), "no column 'nowhere'"),
        (("acc ~ otc", ["seed"]), "no column 'acc'"),
        (("f1 ~ otc + C(train)", ["seed"]), "which term"),
    ]:
        with pytest.raises(InputError, match=words):
            st.mixed_model(frame, arguments[0], groups=arguments[1])
    frame.loc[3, "f1"] = math.nan
    with pytest.raises(InputError, match="empty cells in column 'f1'"):
        st.mixed_model(frame, "f1 ~ otc", groups=["seed"])


@pytest.mark.parametrize(("effect", "sd"), [(0.036, 0.05), (0.036, 0.03), (-0.01, 0.01)])
def test_seeds_needed_agrees_with_simulation(effect, sd):
    n = st.seeds_needed(effect, sd)
    rng = np.random.default_rng(7)

    def simulated(count: int) -> float:
        return float((stats.ttest_1samp(rng.normal(effect, sd, (20_000, count)), 0, axis=1).pvalue < 0.05).mean())

    assert simulated(n) >= 0.8 - 0.012 and simulated(n - 1) < 0.8 + 0.012
    assert st.paired_power(effect, sd, n) == pytest.approx(simulated(n), abs=0.012)


def test_seeds_needed_extremes():
    assert st.seeds_needed(10, 0.001) == 2
    n = st.seeds_needed(0.001, 0.02)
    assert st.paired_power(0.001, 0.02, n) >= 0.8 > st.paired_power(0.001, 0.02, n - 1)
    for bad in [(0, 0.1), (0.1, 0), (0.1, math.nan)]:
        with pytest.raises(InputError, match="seeds_needed"):
            st.seeds_needed(*bad)


def test_majority_baseline():
    assert st.majority_baseline([1, 1, 2, 3]) == 0.5
    with pytest.raises(InputError, match="no labels"):
        st.majority_baseline([])


@pytest.mark.parametrize(("p", "printed"), [(0.0351, "p = 0.035"), (0.0004, "p < 0.001"), (0.001, "p = 0.001")])
def test_a_small_p_is_not_printed_as_zero(p, printed):
    found = st.Coefficient("with_otc", 0.018, 0.003, 0.0131, 0.0239, p, 350, "OLS")
    assert found.interval() == f"95 % CI +0.013 to +0.024, {printed}, 350 rows"


# Missing keys and double cells ----------------------------------------------------------------------------------------

RUNS = pd.DataFrame({
    "weight": [None, None, 0.4, 0.4], "form": ["in", None, "in", None], "seed": [0, 1, 0, 1], "metric": "accuracy",
    "value": [0.50, 0.52, 0.60, 0.61],
})  # fmt: skip


@pytest.mark.parametrize("dtype", [object, float, "Float64", "category"])
def test_a_spread_keeps_the_runs_whose_key_is_missing(dtype):
    table = st.spread(RUNS.astype({"weight": dtype}), "weight", "metric")
    cells = table.set_index("weight")["accuracy"].to_dict()
    assert cells == {"none": str(st.summary([0.50, 0.52])), 0.4: str(st.summary([0.60, 0.61]))}
    table = st.spread(RUNS.astype({"weight": dtype}), "metric", "weight", runs=["form"])
    assert set(table.columns) == {"metric", "none", 0.4} and table["none"][0].endswith("n = 2")


def test_keys_without_gaps_stay_as_they_are():
    assert st.spread(RUNS, "seed", "metric")["seed"].tolist() == [0, 1]
    kinds = RUNS.assign(kind=pd.Categorical(["b", "b", "a", "a"], ["c", "b", "a"]))
    assert st.spread(kinds, "kind", "metric")["kind"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": [None, 1, 1, 1]}, "'weight': nan.*'value' is empty"),
        ({"weight": ["none", None, 0.4, 0.4]}, "'weight' has empty cells beside the key 'none'"),
    ],
)
def test_a_spread_refuses_what_would_vanish(change, words):
    with pytest.raises(InputError, match=words) as error:
        st.spread(RUNS.assign(**change), "weight", "metric")
    assert "\n" not in str(error.value)
    for bad, words in ((RUNS[:0], "no rows"), (RUNS.drop(columns="weight"), "no column 'weight'")):
        with pytest.raises(InputError, match=words):
            st.spread(bad, "weight", "metric")


def test_a_pivot_holds_one_row_a_cell():
    table = st.pivot(RUNS, "seed", "weight", "value")
    assert table.to_dict() == {"none": {0: 0.50, 1: 0.52}, 0.4: {0: 0.60, 1: 0.61}}
    assert math.isnan(st.pivot(RUNS[:3], "seed", "weight", "value").loc[1, 0.4])
    plain = RUNS.assign(weight=["a", "a", "b", "b"], task="t")
    for rows, columns in ((["task", "seed"], "weight"), ("seed", ["weight", "metric"]), (["seed"], ["weight"])):
        ours = st.pivot(plain, rows, columns, "value")
        theirs = plain.pivot_table(index=rows, columns=columns, values="value")
        pd.testing.assert_frame_equal(ours, theirs, check_column_type=False, check_names=True)


def test_a_pivot_names_the_first_cell_with_two_rows_and_what_tells_them_apart():
    double = pd.concat([RUNS, RUNS.assign(form="out", value=0.7)])
    with pytest.raises(InputError, match=r"2 rows of one cell, {'seed': 0, 'weight': 'none'}: they differ in form;"):
        st.pivot(double, "seed", "weight", "value")
    twice = pd.concat([RUNS, RUNS[3:]])
    with pytest.raises(InputError, match=r"{'seed': 1, 'weight': 0.4}: they differ in nothing else") as error:
        st.pivot(twice, "seed", "weight", "value")
    assert "\n" not in str(error.value)
