"""The published numbers load, mistakes in them are told in one line, and verdicts follow the rule."""

import hashlib
import math
import shutil

import pytest

from xltlib import published, schema
from xltlib.errors import InputError
from xltlib.published import LedgerRow, Verdict, verdict
from xltlib.statistics import Summary, welch

SHA256 = {
    "claims": "e696045ec3aef717ab1ef7a4f60a9670803e7d1167aa00ed8388d8592b52b128",
    "datasets": "2d489cbedc5f7d8ea3dd6a6786f2846888bd6a2e1ae9cb6d22dd7fbefd7f32a8",
    "hyperparameters": "d31ff1b3bd28f03bc276692d9e821bf09348e37bb263f0ff23e9f67d58442dc0",
    "musc": "1327025a5f666fe725a490cb2fe49bb040a2021beaf582293e001777992a80e8",
    "objectives": "eaaa8b1de07522f3f9e0e0066f1822d7caf60b0ff78741f641f04613c06eddee",
    "otc": "130695d9156b5679c7bcd2e922b9691a8f6f26757b34935fb83e48b33ca3ec87",
    "self_translate_train": "7cd2393449e8e7c54064c89a8eb0457e2b07a55090f56694ce176291cb2e529a",
}
ROWS = {"otc": 12, "musc": 582, "self_translate_train": 159, "objectives": 484}


@pytest.mark.parametrize("name", SHA256)
def test_files_are_the_transcribed_bytes(name):
    assert hashlib.sha256((published.FOLDER / f"{name}.csv").read_bytes()).hexdigest() == SHA256[name]


def test_every_file_loads_with_types():
    assert {path.stem for path in published.FOLDER.glob("*.csv")} == set(SHA256) == set(schema.COLUMNS)
    for paper, rows in ROWS.items():
        assert len(published.cells(paper)) == rows
    cells = published.cells()
    assert len(cells) == sum(ROWS.values()) and cells["cell"].is_unique
    types = {"value": "float64", "sd": "float64", "n_seeds": "Int64", "significant": "boolean"}
    assert {column: str(cells[column].dtype) for column in types} == types
    assert len(published.datasets()) == 138 and len(published.claims()) == 30


def test_filters_and_names():
    de = published.cells("musc", table="T3", dataset="MARC", language="de", inference="ens", setting="ce")
    assert de["value"].tolist() == [61.2]
    coefficient = published.cells("otc_2405.05478", setting="OTC regression coefficient").iloc[0]
    assert (coefficient["cell"], coefficient["value"], bool(coefficient["significant"])) == ("otc-0006", 0.036, True)
    weight = published.hyperparameters("otc").set_index("item").loc["OTC weight", "value"]
    assert weight == "0.4"
    with pytest.raises(InputError, match="unknown paper 'musk'"):
        published.cells("musk")
    with pytest.raises(InputError, match="no column 'tabel'"):
        published.cells("musc", tabel="T3")


def test_the_four_otc_claims_are_there():
    claims = published.claims("otc")
    assert claims["claim_id"].tolist() == ["O01", "O02", "O03", "O04"]
    assert claims["direction"].str.startswith(">0").all()


@pytest.fixture
def copy(tmp_path):
    """A folder of copies to damage."""
    shutil.copytree(published.FOLDER, tmp_path / "published")
    return tmp_path / "published"


def damage(path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) >= 1
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("musc", b",sd,", b",sdev,", ["musc.csv", "line 1", "'sd' is missing"]),
        ("claims", b"claim_id,", b"", ["claims.csv", "line 1", "'claim_id' is missing"]),
        ("otc", b",0.11,", b",0;11,", ["otc.csv", "line 3", "column value", "'0;11' is not a number"]),
        ("otc", b"F1-micro,0.11,", b"F1-micro,0.11,0.01,", ["otc.csv", "line 3", "fields"]),
        ("musc", b",65.2,", b",652,", ["musc.csv", "line 2", "outside 0 to 100"]),
        ("musc", b",65.2,", b",nan,", ["musc.csv", "line 2", "'nan' is not a number"]),
        ("self_translate_train", b"30.1,0.4,4,", b"30.1,-0.4,4,", ["line 26", "column sd", "negative"]),
        ("self_translate_train", b",0.4,4,", b",0.4,4.5,", ["line 26", "n_seeds", "whole number"]),
        ("self_translate_train", b",true,", b",yes,", ["significant", "neither true nor false"]),
        ("musc", b",zh,", b",Chinese,", ["line 3", "column language", "no language code"]),
        ("musc", b"musc_emnlp2022,T3", b"otc_2405.05478,T3", ["line 2", "not the paper of this file"]),
        ("claims", b"O02,", b"O01,", ["claims.csv", "line 3", "O01 is there twice"]),
        ("objectives", b"Amazon Review", b"Amaz\xf3n Review", ["objectives.csv", "line 2", "0xf3 is not UTF-8"]),
        ("otc", b'"prose L44,L54"', b'"prose L44,L54"x', ["otc.csv", "line 4", "not CSV"]),
    ],
)
def test_a_damaged_file_is_one_line(copy, name, old, new, words):
    damage(copy / f"{name}.csv", old, new)
    with pytest.raises(InputError) as error:
        published.cells(name, copy) if name in ROWS else published.claims(folder=copy)
    message = str(error.value)
    assert "\n" not in message and "git checkout" in message
    assert [word for word in [f"{name}.csv", *words] if word not in message] == [], message


def test_an_absent_or_empty_file_is_one_line(copy):
    (copy / "otc.csv").unlink()
    with pytest.raises(InputError, match=r"otc\.csv: cannot be read"):
        published.cells("otc", copy)
    (copy / "otc.csv").write_bytes(b"")
    with pytest.raises(InputError, match="line 1: column 'paper' is missing"):
        published.cells("otc", copy)
    header = (published.FOLDER / "musc.csv").read_bytes().splitlines(keepends=True)[0]
    (copy / "musc.csv").write_bytes(header)
    with pytest.raises(InputError, match="no rows"):
        published.cells("musc", copy)


def test_welch_reproduces_the_printed_stars():
    """Table 10 prints which cells differ from D_src at p < .05; with the sds read as population sds all stars agree."""
    table = published.cells("self_translate_train", table="T10")
    base = table[table["setting"] == "D_src"].set_index(["dataset", "language"])
    agree = []
    for row in table[table["setting"] != "D_src"].itertuples():
        source = base.loc[(row.dataset, row.language)]
        p = welch(row.value, row.sd, row.n_seeds, source["value"], source["sd"], source["n_seeds"], ddof=0).p
        agree.append((p < 0.05) == row.significant)
    assert len(agree) == 24 and all(agree)


def interval(low: float, high: float) -> Summary:
    return Summary((low + high) / 2, 0.01, low, high, 5)


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.001, 0.050, ">0", "reproduced"),
        (0.000, 0.050, ">0", "inconclusive"),  # touching zero is not wholly above it
        (0.001, 0.005, ">0", "reproduced"),  # in the claimed direction, however small
        (-0.010, 0.010, ">0", "not reproduced"),  # within one point, the borders included
        (-0.010, 0.0101, ">0", "inconclusive"),
        (0.000, 0.010, ">0", "not reproduced"),
        (-0.050, -0.001, ">0", "not reproduced"),
        (-0.050, 0.000, ">0", "inconclusive"),
        (-0.050, -0.001, "<0", "reproduced"),
        (0.001, 0.050, "<0", "not reproduced"),
        (-0.010, 0.010, "<0", "not reproduced"),
        (-0.020, 0.001, "<0", "inconclusive"),
        (-0.010, 0.010, "=0", "reproduced"),
        (-0.011, 0.010, "=0", "inconclusive"),
        (0.005, 0.050, "=0", "inconclusive"),
        (0.011, 0.050, "=0", "not reproduced"),
        (-0.050, -0.011, "=0", "not reproduced"),
        (math.nan, math.nan, ">0", "inconclusive"),
    ],
)
def test_verdict_at_its_borders(low, high, direction, expected):
    assert verdict(interval(low, high), direction) == expected


def test_verdict_units_and_absence():
    assert verdict(interval(-0.9, 0.9), ">0", unit=1) == Verdict.NOT_REPRODUCED
    assert verdict(None, "=0") == "not run"
    with pytest.raises(InputError, match="'upwards' is none of"):
        verdict(interval(0, 1), "upwards")


def ledger():
    rows = [
        LedgerRow("O01", interval(0.02, 0.06), "mini", "paired t over 5 seeds"),
        LedgerRow("otc-0006", interval(0.01, 0.03), "mini"),
        LedgerRow("O04", decided=Verdict.UNCHECKABLE, note="no numbers in the document"),
    ]
    return published.ledger(rows, "otc").set_index("id", drop=False)


def test_ledger_joins_printed_reanalysis_and_ours():
    frame = ledger()
    assert frame["verdict"].to_dict() == {
        "O01": "reproduced", "otc-0006": "", "O04": "cannot be checked", "O02": "not run", "O03": "not run",
    }  # fmt: skip
    assert frame.loc["O01", "printed"] == "gain .02-.11" and frame.loc["O01", "reanalysis"].startswith("consistent")
    assert frame.loc["otc-0006", "printed"] == "0.036" and frame.loc["otc-0006", "mean"] == pytest.approx(0.02)
    with pytest.raises(InputError, match="'O99' is neither"):
        published.ledger([LedgerRow("O99")])


def test_ledger_is_saved_loaded_and_compared(tmp_path):
    frame = ledger().reset_index(drop=True)
    published.save_ledger(frame, "otc", tmp_path)
    saved = published.load_ledger("otc", tmp_path)
    assert published.compare_ledgers(frame, saved) == []
    other = frame.copy()
    other.loc[0, ["mean", "verdict"]] = [0.05, "inconclusive"]
    assert published.compare_ledgers(other.iloc[:-1], saved) == [
        "O03: only in the committed ledger",
        "O01: verdict is inconclusive, committed reproduced",
        "O01: mean is 0.05, committed 0.04",
    ]
    with pytest.raises(InputError, match="no smoke results"):
        published.save_ledger(frame.assign(scale="smoke"), "otc", tmp_path)
    with pytest.raises(InputError, match="no ledger yet"):
        published.load_ledger("musc", tmp_path)
