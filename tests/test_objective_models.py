"""Paper 4's models: names and recipes, one shared tokenizer, hashes that tell what a model is, builds that go on."""

import json
import platform
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from refusals import refused
from tiny_objectives import TINY

from xltlib import checkpoints, cli, devices, models, objective_models, objective_pretraining, objective_training
from xltlib.objective_models import OBJECTIVE_TOKENIZER, fingerprint, folder_of, load, name_of, recipe_of, there
from xltlib.objective_pretraining import complete, pretrained, pretraining_spec, recorded
from xltlib.objectives import OBJECTIVES
from xltlib.pretraining import Training
from xltlib.store import Store

# Names ----------------------------------------------------------------------------------------------------------------


def test_a_name_and_its_recipe_belong_together():
    assert name_of("2-LM") == "mini-2-lm" and name_of("TLM", 3) == "mini-tlm-seed3"
    assert (
        name_of("2-MT", 1, "wide") == "mini-2-mt-wide"
        and name_of("2-LM", 2, "post-norm") == "mini-2-lm-post-norm-seed2"
    )
    base = objective_training.RECIPES["mini-2-lm"]
    changes = {"released-noise": "noise", "post-norm": "pre_norm", "wide": "width"}
    changes |= dict.fromkeys(("rate-1e-3", "rate-1e-2"), "learning_rate")
    for variant, changed in changes.items():
        recipe = recipe_of(name_of("2-LM", 2, variant))
        differs = {field for field in vars(base) if getattr(base, field) != getattr(recipe, field)}
        assert differs == {"seed", changed} and recipe.seed == 2
        if changed == "learning_rate":
            assert variant == f"rate-{recipe.learning_rate:.0e}".replace("e-0", "e-")
    assert recipe_of("mini-2-lm") == base


def test_a_reference_has_every_seed_and_variant():
    names = objective_models.names(3)
    assert len(set(names)) == len(names) == 3 * 5 + 4 + 2 * 5 and names[:5] == list(TINY)
    assert {recipe_of(name).seed for name in names} == {1, 2, 3}


def test_names_that_are_none_are_refused():
    refused(lambda: name_of("RTD"), "unknown objective 'RTD'")
    refused(lambda: name_of("CLM", 1, "wide"), "unknown variant 'wide'")
    refused(lambda: name_of("CLM", 0), "counted from 1")
    refused(lambda: recipe_of("mini-xlm"), "unknown model 'mini-xlm'", "mini-2-lm")
    refused(lambda: recipe_of("mini-clm-wide"), "unknown variant 'wide'")
    refused(lambda: recipe_of("mini-clm-seed1"), "unknown model")


# Models ---------------------------------------------------------------------------------------------------------------


def test_the_five_share_one_tokenizer_and_say_which(tiny):
    shared = fingerprint(OBJECTIVE_TOKENIZER)
    for name in TINY:
        files = {path.name for path in folder_of(name).iterdir()}
        assert files == {"model.safetensors", "config.json", "tokenizer.txt", "checkpoint.json", "README.md"}
        assert (folder_of(name) / "tokenizer.txt").read_text() == shared + "\n"
        model, tokenizer = load(fingerprint(name))
        assert model.objective.name.lower() == name.removeprefix("mini-") and not model.training
        assert len(tokenizer) == model.settings.vocabulary and len(tokenizer) < 700


def test_the_manifest_tells_curve_tokens_and_recipe_and_the_card_is_whole(tiny):
    for name, recipe in TINY.items():
        about = objective_models.manifest(name)
        facts = about["facts"]
        assert about["recipe"]["objective"] == recipe.objective and about["corpus"] == objective_models.corpus_name()
        assert (
            facts["curve"][-1]["tokens"] == facts["tokens"] <= recipe.tokens and len(facts["curve"]) == facts["steps"]
        )
        assert {"tokens per second", "minutes", "size"} <= set(facts) and {"torch", "python"} <= set(about["versions"])
        card = (folder_of(name) / "README.md").read_text()
        assert card.startswith(f"# {name}\n") and "{" not in card and f"xlt models build {name}" in card
        assert max(map(len, card.splitlines())) <= 120
    facts = objective_models.manifest(OBJECTIVE_TOKENIZER)["facts"]
    assert sum(row["sentences"] for row in facts["documents"]) == sum(row["sentences"] for row in facts["pairs"])


def test_the_hash_is_the_one_of_a_shipped_checkpoint(tiny, monkeypatch):
    """So that a name that moves into models.CHECKPOINTS keeps its hash."""
    monkeypatch.setattr(models, "CHECKPOINTS", (*models.CHECKPOINTS, "mini-clm"))
    found = objective_models.verified("mini-clm")
    monkeypatch.setattr(models, "verify_checkpoint", lambda *_: found)
    assert models.fingerprint("mini-clm") == fingerprint("mini-clm")
    assert re.fullmatch(r"mini-clm@[0-9a-f]{8}", fingerprint("mini-clm"))


def test_an_altered_model_is_refused(tiny):
    weights = folder_of("mini-mlm") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused(lambda: load("mini-mlm@00000000"), "sha256", "xlt models build mini-mlm")
    assert not there("mini-mlm") and there("mini-clm") and not there("mini-clm-seed2")
    refused(lambda: load("mini-clm@00000000"), "mini-clm@00000000 is wanted")
    refused(lambda: load("mini-clm-seed2@00000000"), "no such checkpoint", "grid full")


def test_a_model_of_another_tokenizer_is_refused(tiny):
    wanted = fingerprint("mini-clm")
    card = folder_of(OBJECTIVE_TOKENIZER) / "tokenizer_config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"model_max_length": 64}))
    models.write_manifest(folder_of(OBJECTIVE_TOKENIZER), facts={})
    models.verify_checkpoint.cache_clear()
    refused(lambda: load(wanted), OBJECTIVE_TOKENIZER, "is wanted")
    assert not there("mini-clm")


def test_an_outsider_is_built_elsewhere_and_differs(tiny):
    for name in ("mini-2-lm-wide", "mini-2-lm-post-norm", "mini-2-lm-seed2"):
        assert objective_models.build(name) == tiny / "built" / name
        model, _ = load(fingerprint(name))
        assert (model.settings.width == 24) == name.endswith("wide")
        assert model.settings.pre_norm == (not name.endswith("norm"))
    one, other = load(fingerprint("mini-2-lm"))[0], load(fingerprint("mini-2-lm-seed2"))[0]
    assert not torch.equal(one.shared.weight, other.shared.weight)


def test_the_same_model_comes_out_again(tiny):
    before = fingerprint("mini-tlm")
    shutil.rmtree(folder_of("mini-tlm"))
    objective_models.build("mini-tlm")
    assert fingerprint("mini-tlm") == before


def test_all_five_are_built_again_and_a_kill_costs_the_one_in_flight(tiny, monkeypatch):
    before, real, trained = {name: fingerprint(name) for name in TINY}, objective_training.pretrain, []

    def counted(made, *rest):
        trained.append(made.name)
        return real(made, *rest)

    def dies(self):
        if trained == ["mini-2-lm", "mini-2-mt"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(objective_training, "pretrain", counted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "_save", dies)
        checkpoints.build("objectives", state=tiny / "state")
    assert {name: fingerprint(name) for name in TINY} == before  # the old ones stay until all are done
    assert checkpoints.build("objectives", state=tiny / "state") == tiny / "shipped"
    assert trained == ["mini-2-lm", "mini-2-mt", *list(TINY)[1:]]
    assert {name: fingerprint(name) for name in TINY} == before and not list((tiny / "state").iterdir())


def test_the_command_builds_the_group_and_each_of_it(tiny, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(checkpoints, "build", asked.append)
    assert cli.main(["models", "build", "objectives"]) == cli.main(["models", "build", "mini-tlm"]) == 0
    assert asked == ["objectives", "mini-tlm"] and "objectives: 0.0 minutes" in capsys.readouterr().out
    asked.clear()
    cli.main(["models", "build"])
    assert "objectives" not in asked and set(TINY) < set(asked)  # each once


# Records --------------------------------------------------------------------------------------------------------------


def test_the_reference_of_pretraining_is_made_once_and_names_the_weights(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(objective_models, "VARIANTS_OF", {})
    complete(Store(tmp_path / "records"), seeds=2)
    frame = objective_pretraining.reference()
    assert set(frame["name"]) == set(objective_models.names(2)) and len(set(frame["weights"])) == 10
    curve = frame[(frame["metric"] == "loss") & (frame["name"] == "mini-mlm-seed2")]
    assert curve["read"].is_monotonic_increasing and (curve["value"] > 0).all()
    assert frame.query("name == 'mini-clm' and metric == 'tokens'")["value"].item() <= TINY["mini-clm"].tokens
    for module in (objective_pretraining, objective_models):
        monkeypatch.setattr(module, "build", lambda *_: pytest.fail("built again"))
    complete(Store(tmp_path / "elsewhere"), seeds=2)
    known = objective_pretraining.checkpoints()
    assert known("MLM", 2) == fingerprint("mini-mlm-seed2") and known("CLM") == fingerprint("mini-clm")
    shutil.rmtree(tiny / "built")  # as on a machine that has the reference alone
    assert objective_pretraining.checkpoints()("MLM", 2) == recorded()[pretraining_spec("mini-mlm-seed2").id]


def test_without_reference_and_model_there_is_no_checkpoint(tiny):
    known = objective_pretraining.checkpoints()
    assert [known(name) for name in OBJECTIVES] == [fingerprint(name) for name in TINY]
    refused(lambda: known("CLM", 2), "mini-clm-seed2", "grid full builds it")


def test_what_a_run_needs_is_built_and_must_come_out_as_named(tiny, tmp_path):
    name = "mini-clm-seed2"
    pretrained(pretraining_spec(name))
    wanted = fingerprint(name)
    shutil.rmtree(folder_of(name))
    objective_pretraining.prepare([wanted, fingerprint("mini-clm")])
    assert fingerprint(name) == wanted
    shutil.rmtree(folder_of(name))
    refused(lambda: objective_pretraining.prepare([f"{name}@00000000"]), f"{name}@00000000", wanted, "delete")


def test_a_model_of_an_older_recipe_is_pretrained_again(tiny, monkeypatch):
    built = []
    monkeypatch.setattr(objective_pretraining, "build", lambda name, recipe: built.append((name, recipe.tokens)))
    pretrained(pretraining_spec("mini-clm"))
    longer = objective_models.replace(TINY["mini-clm"], tokens=2500)
    pretrained(pretraining_spec("mini-clm", longer))
    assert built == [("mini-clm", 2500)]


def test_live_pretraining_is_small_and_has_all_objectives(tiny):
    for at, most in (("smoke", 10_000), ("mini", 300_000)):
        specs = objective_pretraining.live(at)
        assert [spec.method for spec in specs] == list(OBJECTIVES)
        assert all(spec.settings["tokens"] <= most for spec in specs)
        same = [{k: v for k, v in spec.settings.items() if k not in ("name", "objective")} for spec in specs]
        assert all(settings == same[0] for settings in same)


def test_a_live_model_is_pretrained_for_every_record(tiny, monkeypatch, capfd):
    trained, real = [], objective_training.pretrain

    def counted(made, *rest):
        trained.append(made.name)
        return real(made, *rest)

    monkeypatch.setattr(objective_training, "pretrain", counted)
    spec = objective_pretraining.live("smoke")[2]
    found = [pretrained(spec) for _ in range(2)]
    assert capfd.readouterr() == ("", "")  # several train at once: no bar and no lines
    assert trained == ["live-smoke-clm"] * 2 and folder_of("live-smoke-clm").parent == tiny / "built"
    losses = [[row["value"] for row in result.metrics if row["metric"] == "loss"] for result in found]
    assert losses[0] == losses[1] and len(losses[0]) > 2
    refused(lambda: objective_pretraining.live("paper"), "fairseq")


def test_final_losses_are_the_last_points_of_their_own_variant():
    curves = {
        ("CLM", "mini-clm", 1): [3.0, 2.0],
        ("CLM", "mini-clm-seed2", 2): [3.0, 2.5],
        ("2-LM", "mini-2-lm", 1): [4.0, 1.0],
        ("2-LM", "mini-2-lm-wide", 1): [4.0, 0.5],  # of seed 1, too
        ("TLM", "live-mini-tlm", 1): [7.0, 6.0],  # no model of the reference
    }
    rows = [
        {"objective": objective, "name": name, "seed": seed, "metric": "loss", "step": 5 * i, "value": value}
        for (objective, name, seed), values in curves.items()
        for i, value in reversed(list(enumerate(values)))
    ]
    frame = pd.DataFrame([*rows, {"name": "mini-clm", "seed": 1, "metric": "tokens", "step": None, "value": 9.0}])
    found = objective_pretraining.final_losses(frame)
    assert (
        found.loc["CLM"].tolist() == [2.0, 2.5] and found.loc["2-LM", 1] == 1.0 and list(found.index) == ["2-LM", "CLM"]
    )
    assert objective_pretraining.final_losses(frame, "wide").to_dict() == {1: {"2-LM": 0.5}}
    assert objective_pretraining.final_losses(frame, "post-norm").empty
    assert objective_pretraining.final_losses(frame.head(0)).empty


# Devices --------------------------------------------------------------------------------------------------------------


def test_manifest_card_and_record_say_the_machine(tiny):
    here = f"{platform.machine()} processor"
    assert objective_models.manifest("mini-clm")["machine"] == here
    card = (folder_of("mini-clm") / "README.md").read_text()
    assert f"on one thread of a processor ({platform.machine()}), Python" in card
    assert {row["machine"] for row in pretrained(pretraining_spec("mini-clm")).metrics} == {here}


def test_the_machine_of_an_old_manifest_is_not_known(tiny):
    path = folder_of("mini-clm") / "checkpoint.json"
    about = json.loads(path.read_text())
    del about["machine"]
    path.write_text(json.dumps(about))
    rows = pretrained(pretraining_spec("mini-clm")).metrics
    assert rows and all(row["machine"] is None and row["weights"] == fingerprint("mini-clm") for row in rows)


def test_a_card_names_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA H200")
    facts = {"tokens": 10, "steps": 2, "minutes": 0.1, "size": 5}
    card = objective_models.card("mini-clm", TINY["mini-clm"], facts, "cuda")
    assert "0.1 minutes\n  on a GPU (NVIDIA H200), Python" in card and "processor" not in card
    assert max(map(len, card.splitlines())) <= 120


def test_a_finished_model_of_another_machine_is_not_taken_for_it(tiny, monkeypatch):
    recipe, state, trained = TINY["mini-clm"], tiny / "state", []
    made = objective_models.make("mini-clm", recipe, state)
    monkeypatch.setattr(objective_training, "pretrain", lambda *given: trained.append(given[-2:]) or 1 / 0)
    assert objective_models.make("mini-clm", recipe, state) == made
    monkeypatch.setattr(devices, "machine", lambda name: "NVIDIA H200")
    with pytest.raises(ZeroDivisionError):
        objective_models.make("mini-clm", recipe, state, "cuda")
    ((saved, device),) = trained
    assert device == "cuda" and saved.parent == state  # and no state of the processor's is gone on with:
    with pytest.raises(ZeroDivisionError):
        objective_models.make("mini-clm", replace(recipe, seed=2), state)
    monkeypatch.undo()
    assert trained[1][0] != saved


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_none_can_be_asked_for(tiny, capsys):
    refused(lambda: objective_models.build("mini-clm-seed2", device="cuda"), "sees no GPU", "use device cpu")
    assert cli.main(["models", "build", "mini-clm", "--device", "cuda"]) == 2
    assert "sees no GPU" in capsys.readouterr().err


def test_a_device_is_for_models_of_paper_4(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(devices, "device", torch.device)
    monkeypatch.setattr(checkpoints, "build", lambda name, **options: asked.append((name, options)))
    assert cli.main(["models", "build", "objectives", "--device", "cuda"]) == 0
    assert asked == [("objectives", {"device": "cuda"})]
    for arguments in (["mini-m2m"], []):  # without a name: all, and most of them cannot
        assert cli.main(["models", "build", *arguments, "--device", "cuda"]) == 2
        assert "mini-m2m is trained on the processor" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["models", "build", "mini-clm", "--device", "tpu"])
    assert len(asked) == 1


def test_an_unknown_device_is_refused(tiny):
    refused(lambda: devices.machine("tpu"), "unknown device 'tpu'", "cpu, cuda")
    refused(lambda: objective_models.build("mini-clm-seed2", device="tpu"), "unknown device 'tpu'")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_same_model_twice(tiny):
    found = set()
    for _ in range(2):
        objective_models.build("mini-2-lm-seed2", device="cuda")
        found.add(fingerprint("mini-2-lm-seed2"))
        assert objective_models.manifest("mini-2-lm-seed2")["machine"] == torch.cuda.get_device_name()
        shutil.rmtree(folder_of("mini-2-lm-seed2"))
    assert len(found) == 1
