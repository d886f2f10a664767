"""What `xanes-live bench` says is right; how fast this machine is does not matter here."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xanes_live.bench import device, inference, reduction, scattering, timing, training
from xanes_live.bench.rows import Floor, Row, table
from xanes_live.bench.run import Options, run
from xanes_live.bench.timing import Times, in_turns
from xanes_live.cli import app
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.network import PAPER, Architecture, make_member
from xanes_live.ensemble.stacked import Stacked
from xanes_live.theory.scattering import absorber_trace

SMALL = Architecture(n_input=60, channels=(2, 3), hidden=(12,), n_output=9)
CPU = torch.device("cpu")


def test_median_and_99th_percentile():
    times = Times(tuple(np.arange(1.0, 201.0)), (0.1, 0.3))
    assert times.median == 100.5
    assert times.p99 == 199.0
    assert times.processor == pytest.approx(0.2)
    assert Times((3.0, 1.0)).p99 == 3.0
    assert times.scaled(2.0).median == 201.0
    assert times.scaled(2.0).processor == pytest.approx(0.4)


def test_works_take_turns(monkeypatch):
    monkeypatch.setattr(timing, "SLOW_S", 1e9)  # however busy the machine
    order = []
    found = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 0.0, least=6)
    assert order[:2] == ["a", "b"]  # once each before anything counts
    assert order[2:14] == ["a"] * 6 + ["b"] * 6  # one to warm up, five that count
    assert [len(t.seconds) for t in found.values()] == [10, 10]


def test_a_row_judges_by_medians():
    row = Row("inference", "x", 1, Times((1.0, 9.0, 2.0)), Times((6.0,)), target=3.0)
    assert row.ratio == 3.0
    assert row.met
    assert Row("inference", "x", 1, Times((2.1,)), Times((6.0,)), target=3.0).met is False
    assert Row("live", "x", 1, Times((6e-3,)), limit=5e-3).met is False
    absent = Row("reduction", "x", 1, Times((1.0,)), target=20.0, missing="no larch")
    assert (absent.ratio, absent.met) == (None, None)
    text = table([row, absent])
    assert "not measured: no larch" in text
    assert "≥ 3 ✓" in text
    assert absent.as_dict()["not_measured"] == "no larch"


def test_floor_of_the_papers_network():
    members = make_member(PAPER)
    assert device.parameters(PAPER) == sum(p.numel() for p in members.parameters())
    # by hand: 234·8·2 + 114·8·2·4 + 54·8·4·8 + 432·256 + 256·128 + 128·50 products, two each
    assert device.operations(PAPER) == 2 * (3744 + 7296 + 13824 + 110592 + 32768 + 6400)
    found = device.floor(PAPER, 15, 131_072, device.Rates(1e12, None, 1e11))
    assert found.arithmetic == pytest.approx(0.687, rel=0.01)  # 0.6 TFLOP or so
    assert found.bandwidth == pytest.approx(0.0031, rel=0.1)  # 0.3 GB
    assert isinstance(found, Floor)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_loop_is_what_the_engine_is_compared_with(norm):
    network = Stacked.initialised(Architecture(**{**SMALL.__dict__, "norm": norm}), 4, seed=1)
    network.input_mean.fill_(0.4)
    network.output_scale.copy_(torch.linspace(1.0, 2.0, 9))
    loop = inference.Loop(network.eval())
    x = inference.made_up(5, 60)
    with torch.inference_mode():
        said = network(torch.from_numpy(x))
    mean, sigma = loop.moments(x)
    np.testing.assert_allclose(mean, said.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sigma, said.std(0), rtol=1e-3, atol=1e-5)


def test_inference_rows():
    engine = Engine(Stacked.initialised(SMALL, 3, seed=1))
    rows, difference = inference.inference(engine, (1, 40), device.Rates(1e9, None, 1e9), 0.0)
    assert [r.size for r in rows] == [1, 40]
    assert difference < 1e-5
    assert rows[0].target == 4.0
    assert all(r.ratio and r.floor for r in rows)


def test_plain_members_learn_what_the_joint_training_does():
    data = training.made_up_set(SMALL.n_output)
    recipe = training.recipe_for(SMALL, 3)
    trainer = training.Trainer(data, recipe)
    trainer.network.train()
    plain = training.OneByOne.of(trainer)
    index = torch.as_tensor(trainer.resamples[:, :32])
    for optimiser in plain.optimisers:
        optimiser.param_groups[0]["lr"] = trainer._rate(len(trainer.resamples[0]))
    plain.step(index, trainer.draws.at(0, 32))
    trainer.one_step(index)
    for k, member in enumerate(plain.members):
        ours = [v[k] for layer in trainer.network.layers() for v in layer.state_dict().values()]
        for own, joint in zip(member.parameters(), ours, strict=True):
            torch.testing.assert_close(own.detach(), joint, rtol=1e-2, atol=1e-4)


def test_a_row_of_training():
    row = training.training(SMALL, 2, CPU, 0.0)
    assert row.target == 2.0
    assert row.ratio


def test_the_plain_solver_agrees():
    given = scattering.problem(0, 2)
    np.testing.assert_allclose(
        scattering.plain_traces(given), absorber_trace(given), rtol=1e-3, atol=1e-5
    )


def test_without_larch(monkeypatch):
    monkeypatch.setattr(reduction, "larch_one_by_one", lambda *_: None)
    monkeypatch.setattr(reduction, "SCANS", 4)
    row = reduction.reduction(0.0)
    assert row.ours is not None
    assert row.plain is None
    assert "larch" in row.missing


def test_the_json_form_is_complete():
    report = run(Options("cpu", (1,), ("inference", "live"), budget_s=0.0)).as_dict()
    assert json.loads(json.dumps(report)) == report
    assert set(report) == {"format", "machine", "rates_1e9_per_s", "network", "rows"}
    assert report["rates_1e9_per_s"]["flops"] > 0
    (single, *live) = report["rows"]
    assert single["ours"]["median_ms"] <= single["ours"]["p99_ms"]
    assert single["ratio"] > 0
    assert [row["section"] for row in live] == ["live", "live"]
    assert all(row["ours"]["runs"] >= 39 for row in live)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "none"], "not numbers"),
        (["--only", "everything"], "none of inference"),
        (["--precision", "int8"], "none of float32"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, said):
    found = CliRunner().invoke(app, ["bench", *arguments])
    assert found.exit_code == 2
    assert said in found.output


def test_the_command_prints_one_json_object():
    arguments = ["bench", "--device", "cpu", "--sizes", "1", "--only", "inference", "--quick"]
    found = CliRunner().invoke(app, [*arguments, "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["machine"]["kind"] == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda():
    sections = ("inference", "training", "scattering")
    report = run(Options("cuda", (1, 2000), sections, precision="tf32", budget_s=0.2))
    assert report.network["difference"] < 1e-2
    assert all(row.ratio for row in report.rows)
