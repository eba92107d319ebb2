"""Readers of RES1 and RuReviews, and the split of both: what they read, what they leave out, and what they refuse."""

from pathlib import Path

import pytest
from real_files import REAL, needs
from refusals import refused

from xltlib.corpora import review_files
from xltlib.corpora.guards import Example, Kept, duplicates
from xltlib.corpora.review_files import shuffled_split

SPLITS = ("train", "validation", "test")


def write_res1(
    folder: Path, *records: str, header: str = "polarity,text,restaurant_id,user_id", end: str = "\r\n"
) -> Path:
    path = folder / "datasets" / "RES1.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(record + end for record in [header, *records]).encode())
    return path


def write_rureviews(folder: Path, *rows: str, header: str = "review\tsentiment") -> Path:
    path = folder / "reviews.csv"
    path.write_bytes("".join(row + "\n" for row in [header, *rows]).encode())
    return path


# RES1 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_res1_reads_texts_over_several_lines(tmp_path, capsys, end):
    records = [
        "1,طعام لذيذ,3,4",
        f'-1,"قال ""لا""، ومشى,{end} {end}ولم يعد  ",3,5',
        "",
        '" 1","شاي\u2028طيب",3,4',
    ]
    write_res1(tmp_path, *records, end=end)
    read = review_files.ar_res_reviews(tmp_path)
    assert isinstance(read, Kept) and read.left_out == {} and capsys.readouterr().err == ""
    texts = ["طعام لذيذ", 'قال "لا"، ومشى,\n \nولم يعد', "شاي\u2028طيب"]
    assert read == [Example(text, label, "ar") for text, label in zip(texts, (1, 0, 1), strict=True)]
    assert review_files.ar_res_reviews(str(tmp_path)) == read
    assert [review_files.RES1_CLASSES[example.label] for example in read] == ["positive", "negative", "positive"]


def test_res1_columns_are_found_by_name_and_a_mark_is_no_part_of_one(tmp_path):
    write_res1(tmp_path, "7,جيد,1", "8,سيئ,-1", header="\ufeffuser_id,text,polarity")
    assert review_files.ar_res_reviews(tmp_path) == [Example("جيد", 1, "ar"), Example("سيئ", 0, "ar")]
    write_res1(tmp_path, "1,جيد,1,2", "-1,سيئ,1,2", header="\ufeffpolarity,text,restaurant_id,user_id")
    assert len(review_files.ar_res_reviews(tmp_path)) == 2


def test_res1_mixed_and_empty_reviews_are_left_out_and_counted(tmp_path, capsys):
    path = write_res1(tmp_path, "1,جيد,1,2", "0,بين,1,2", '1," \n ",1,2', "-1,,1,2", "-1,سيئ,1,2", "0,,1,2")
    read = review_files.ar_res_reviews(tmp_path)
    assert len(read) == 2 and read.left_out == {review_files.MIXED_REASON: 2, review_files.EMPTY_REASON: 2}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "4 of 6 rows" in said and "first row 3\n" in said


@pytest.mark.parametrize(
    "record, words",
    [
        ("2,جيد,1,2", ("row 3: polarity '2' is unknown, not -1 or 1", "hadyelsahar")),
        (",جيد,1,2", ("row 3: polarity '' is unknown",)),
        ("positive,جيد,1,2", ("row 3: polarity 'positive' is unknown",)),
        ("-1.0,جيد,1,2", ("row 3: polarity '-1.0' is unknown",)),
        ("1,جيد,1", ("row 3: 3 cells under 4 columns",)),
        ("1,جيد, جدا,1,2", ("row 3: 5 cells under 4 columns",)),
        ('1,"جيد,1,2', ("row 3: not CSV",)),
        ('1,"جيد" جدا,1,2', ("row 3: not CSV",)),
    ],
)
def test_damaged_res1_is_refused(tmp_path, record, words):
    write_res1(tmp_path, '-1,"سيئ\r\nجدا",1,2', record, "1,جيد,1,2")
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv, ", *words)


def test_res1_file_header_and_classes(tmp_path):
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv", "no such file", "hadyelsahar")
    for header, name in (("text,user_id", "'polarity'"), ("polarity,Text", "'text'"), ('1,"a\nb",2,3', "'polarity'")):
        write_res1(tmp_path, "1,جيد", header=header)
        refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv, row 1: no column", name, "hadyelsahar")
    write_res1(tmp_path)
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv", "can be used", "right file")
    write_res1(tmp_path, "1,جيد,1,2", "1,طيب,1,2")
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv, rows 2 to 3: every label is the same (1)")
    path = write_res1(tmp_path, "-1,سيئ,1,2", "0,بين,1,2")
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv, rows 2 to 3: every label is the same (0)")
    path.write_bytes(b"\r\n \r\n")
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv", "empty", "hadyelsahar")
    path.write_bytes(b"polarity,text\n1,\xe4\n")
    refused(lambda: review_files.ar_res_reviews(tmp_path), "RES1.csv, row 2", "0xe4", "UTF-8")


# RuReviews ------------------------------------------------------------------------------------------------------------


def test_rureviews_reads_unquoted_reviews(tmp_path, capsys):
    rows = ['Юбка "мини, отлично\tpositive', " Цвет другой \tneautral", "Порвалась\tnegative ", '"Так себе"\tneautral']
    path = write_rureviews(tmp_path, *rows)
    read = review_files.rureviews(path)
    texts = ['Юбка "мини, отлично', "Цвет другой", "Порвалась", '"Так себе"']
    assert read == [Example(text, label, "ru") for text, label in zip(texts, (2, 1, 0, 1), strict=True)]
    assert isinstance(read, Kept) and read.left_out == {} and capsys.readouterr().err == ""
    assert [review_files.RUREVIEWS_CLASSES[example.label] for example in read[:2]] == ["positive", "neutral"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert review_files.rureviews(str(path)) == read


def test_rureviews_empty_reviews_are_left_out_and_counted(tmp_path, capsys):
    path = write_rureviews(tmp_path, "Хорошо\tpositive", "\tnegative", " \tneautral", "Плохо\tnegative")
    read = review_files.rureviews(path)
    assert len(read) == 2 and read.left_out == {review_files.EMPTY_REASON: 2}
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(path) in said and "2 of 4 rows" in said and "first row 3\n" in said


@pytest.mark.parametrize(
    "row, words",
    [
        ("Хорошо\tneutral", ("row 3: label 'neutral' is unknown", "negative, neautral, positive")),
        ("Хорошо\t", ("row 3: label '' is unknown",)),
        ("\tgood", ("row 3: label 'good' is unknown",)),
        ("Хорошо,positive", ("row 3: 1 cells under 2 columns", "unquoted")),
        ("", ("row 3: 1 cells under 2 columns",)),
        ("Хорошо\tно\tpositive", ("row 3: 3 cells under 2 columns",)),
    ],
)
def test_damaged_rureviews_is_refused(tmp_path, row, words):
    path = write_rureviews(tmp_path, "Хорошо\tpositive", row, "Плохо\tnegative")
    refused(lambda: review_files.rureviews(path), "reviews.csv, ", *words)


def test_rureviews_file_header_and_classes(tmp_path):
    path = tmp_path / "reviews.csv"
    refused(lambda: review_files.rureviews(path), "reviews.csv", "no such file", "sismetanin")
    for header, name in (("review,sentiment", "'review'"), ("review\tlabel", "'sentiment'")):
        write_rureviews(tmp_path, "Хорошо\tpositive", header=header)
        refused(lambda: review_files.rureviews(path), "reviews.csv, row 1: no column", name, "sismetanin")
    write_rureviews(tmp_path)
    refused(lambda: review_files.rureviews(path), "reviews.csv", "can be used", "right file")
    write_rureviews(tmp_path, "Хорошо\tpositive", "Отлично\tpositive")
    refused(lambda: review_files.rureviews(path), "reviews.csv, rows 2 to 3: every label is the same (2)")
    path.write_bytes(b"")
    refused(lambda: review_files.rureviews(path), "reviews.csv", "empty", "sismetanin")


# The split ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 11, 19, 25, 99, 100, 8364])
def test_splits_are_disjoint_complete_and_of_eight_to_one_to_one(size):
    parts = [shuffled_split(range(size), split, seed=3) for split in SPLITS]
    assert sorted(i for part in parts for i in part) == list(range(size))
    for part, tenths in zip(parts, (8, 1, 1), strict=True):
        assert abs(len(part) - size * tenths / 10) < 1 and part


def test_splits_depend_on_the_seed_alone():
    first = shuffled_split(range(100), "train")
    assert first == shuffled_split(list(range(100)), "train", seed=0) != shuffled_split(range(100), "train", seed=1)
    assert first != sorted(first) and set(first) != set(range(80))
    assert shuffled_split("abcdefghij", "test") == ["abcdefghij"[i] for i in shuffled_split(range(10), "test")]


def test_splits_that_are_unknown_or_too_small_are_refused():
    refused(lambda: shuffled_split(range(100), "dev"), "'dev'", "split", "train, validation, test")
    for split in SPLITS:
        refused(lambda split=split: shuffled_split(range(9), split), "9 examples", "8:1:1", "10 at least")


# The real file --------------------------------------------------------------------------------------------------------


@needs("ar-res-reviews")
def test_real_res1(capsys):
    read = review_files.ar_res_reviews(REAL / "ar-res-reviews")
    assert len(read) == 1000 and read.left_out == {} and not capsys.readouterr().err
    assert [sum(example.label == label for example in read) for label in (0, 1)] == [395, 605]
    assert {example.language for example in read} == {"ar"}
    assert sum("\n" in example.text for example in read) == 521
    assert all(example.text == example.text.strip() != "" and "\r" not in example.text for example in read)


@needs("ar-res-reviews")
def test_real_res1_split():
    read = review_files.ar_res_reviews(REAL / "ar-res-reviews")
    train, validation, test = (shuffled_split(read, split) for split in SPLITS)
    assert [len(train), len(validation), len(test)] == [800, 100, 100]
    assert sorted(example.text for example in train + validation + test) == sorted(example.text for example in read)
    assert all(len({example.label for example in part}) == 2 for part in (train, validation, test))
    assert len({example.text for example in read}) == 993 and duplicates(train, test) < 7
