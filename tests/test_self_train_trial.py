"""The trial of paper 3 at mini: English alone, the best two rates, the tasks that are learned."""

import pandas as pd
from refusals import refused

from xltlib import self_train_trial, text_tasks
from xltlib.self_train_trial import BASELINE, RATES
from xltlib.store import Store

SCORES = {"problems": (0.5, 0.7, 0.6, 0.1), "questions": (0.1, 0.35, 0.2, 0.1), "inference": (0.40, 0.42, 0.33, 0.2)}
BASELINES = {"problems": 0.1, "questions": 0.2, "inference": 1 / 3}


def frame(scores=SCORES) -> pd.DataFrame:
    rows = []
    for task, values in scores.items():
        for rate, value in zip(RATES, values, strict=True):
            row = {"task": task, "learning_rate": rate}
            rows.append(row | {"metric": text_tasks.TASKS[task].metric, "value": value})
            rows.append(row | {"metric": BASELINE, "value": BASELINES[task]})
    return pd.DataFrame(rows)


def test_the_best_two_rates_of_the_live_task_and_the_learned_tasks():
    rates, tasks = self_train_trial.chosen(frame(), "problems")
    assert rates == (3e-3, 1e-2) and tasks == ("problems", "questions")  # .42 is less than ten points above a third
    assert self_train_trial.chosen(frame(), "inference")[0] == (1e-3, 3e-3)
    equal = frame(SCORES | {"problems": (0.5, 0.5, 0.5, 0.5)})
    assert self_train_trial.chosen(equal, "problems")[0] == (1e-3, 3e-3)


def test_the_table_has_every_rate_and_the_baseline():
    told = self_train_trial.table(frame()).set_index("task")
    assert list(told.loc["problems"][:4]) == list(SCORES["problems"])
    assert dict(told[BASELINE]) == BASELINES and list(told["learned"]) == [True, True, False]


def test_a_run_reads_english_alone_and_has_its_baseline(tmp_path, monkeypatch):
    seen, real = set(), text_tasks.items
    for module in (self_train_trial, self_train_trial.self_train):
        monkeypatch.setattr(module, "items", lambda task, code, *a, **k: seen.add(code) or real(task, code, *a, **k))
    runs = [run for run in self_train_trial.specs("smoke") if run.settings["learning_rate"] == RATES[0]]
    assert [run.settings["task"] for run in runs] == list(text_tasks.TASKS)
    records = Store(tmp_path).run_grid(runs, self_train_trial.run, progress=False)
    assert seen == {"en"}
    for record in records:
        values = {row["metric"]: row["value"] for row in record.metrics}
        task = text_tasks.TASKS[record.spec.settings["task"]]
        assert {task.metric, BASELINE} <= values.keys() and all(0 <= value <= 1 for value in values.values())
        assert all((row["split"], row["language"]) == ("validation", "en") for row in record.metrics)


def test_another_choice_stops_the_grid(tmp_path, monkeypatch):
    monkeypatch.setattr(self_train_trial, "reference", lambda: frame(SCORES | {"problems": (0.7, 0.6, 0.1, 0.1)}))
    monkeypatch.setattr(Store, "complete_reference", lambda *a, **k: None)
    refused(lambda: self_train_trial.complete(Store(tmp_path), "mini"), "(0.001, 0.003)", "xltlib/scales.py")
