"""``diapipe train-reliability`` writes a model and what it is worth."""

from __future__ import annotations

import json

import pytest
from tests.training.made_samples import made_samples

from diapipe import training
from diapipe.cli.main import main
from diapipe.steps.classify import read_model
from diapipe.training import boosting

pytest.importorskip("sklearn", reason="no training: scikit-learn is not installed")


def test_a_model_and_its_worth(tmp_path, monkeypatch, capsys):
    """The file reads back with the version that the numbers name; fields of the next seed judge."""
    asked = []

    def samples(seed, n_fields, **options):
        asked.append((seed, n_fields))
        options["progress"](1)
        return made_samples(3000, seed=seed, n_fields=n_fields)[0]

    monkeypatch.setattr(training, "samples_of_fields", samples)
    out = tmp_path / "mine.npz"
    assert main(["train-reliability", "--out", str(out), "--seed", "4", "--fields", "10", "--held-out", "6"]) == 0
    assert asked == [(4, 10), (5, 6)]
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["version"] == read_model(out).version
    assert told["n_fields"] == 6
    assert 0.5 < told["score"]["purity"]["value"] <= 1.0
    said = capsys.readouterr()
    assert "| score | " in said.out
    assert "judge: 1 of 6 fields" in said.err


@pytest.mark.parametrize(
    ("out", "said"), [("mine.json", "is to end in .npz"), ("nowhere/mine.npz", "cannot write"), ("mine.npz", "train]")]
)
def test_what_cannot_end_well_does_not_begin(tmp_path, monkeypatch, capsys, out, said):
    """A name, a folder or a library that is wrong is told before the hours of making fields; nothing is left behind."""
    monkeypatch.setattr(training, "samples_of_fields", lambda *_, **__: pytest.fail("fields were made"))
    if said == "train]":
        monkeypatch.setattr(boosting, "find_spec", lambda _: None)
    assert main(["train-reliability", "--out", str(tmp_path / out), "--fields", "5", "--held-out", "1"]) in (1, 2)
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
