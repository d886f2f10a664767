"""A configuration from a few answers and the last runs."""

import itertools
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner

from tests import factories
from xanes_live.cli import app
from xanes_live.config import API_KEY_VARIABLE, Config, load, parse
from xanes_live.documents.callback import assemble
from xanes_live.errors import ConfigurationError
from xanes_live.service import init
from xanes_live.service.find_raw import Found, look
from xanes_live.service.init import Answers, beside, init_command
from xanes_live.service.suggest import Recognised, last_runs, propose, recognise
from xanes_live.service.template import literal, toml

_uids = itertools.count()


def documents(columns: dict[str, np.ndarray], units: str = "eV", **start):
    """Yield the documents of a run with these columns, the first one the scanned motor."""
    uid = f"run-{next(_uids)}"
    motor = next(iter(columns))
    yield (
        "start",
        {
            "uid": uid,
            "time": 1.0,
            "scan_id": 7,
            "plan_name": "scan",
            "motors": [motor],
            "hints": {"dimensions": [[[motor], "primary"]]},
            **start,
        },
    )
    keys = {name: {"dtype": "number", "shape": [], "source": ""} for name in columns}
    keys[motor]["units"] = units
    yield "descriptor", {"uid": f"{uid}-d", "run_start": uid, "name": "primary", "data_keys": keys}
    count = len(columns[motor])
    for i in range(count):
        data = {name: float(column[i]) for name, column in columns.items()}
        event = {"descriptor": f"{uid}-d", "seq_num": i + 1, "time": 2.0 + i, "data": data}
        yield "event", {"uid": f"{uid}-e{i}", **event}
    end = {"num_events": {"primary": count}, "exit_status": "success", "time": 999.0}
    yield "stop", {"uid": f"{uid}-s", "run_start": uid, **end}


def scan(names=("dcm_energy", "ic0", "ic1"), **start):
    """Return the record of an iron scan in transmission."""
    channels = factories.channels(n_points=120)
    columns = dict(zip(names, (channels.energy, channels.i0, channels.it), strict=True))
    return assemble(documents(columns, element="Fe", edge="K", **start))


def test_what_a_run_says():
    found = recognise(scan(sample="FeO"))
    assert found.mapping == {"energy": "dcm_energy", "i0": "ic0", "it": "ic1"}
    assert (found.edge, found.guessed, found.reason) == ("Fe K", False, "")
    assert "7, scan, FeO" in found.title


def test_a_run_that_is_no_absorption_scan():
    columns = {"sample_x": np.linspace(0, 1, 20), "diode": np.ones(20)}
    found = recognise(assemble(documents(columns, units="mm")))
    assert (found.mapping, found.reason) == ({}, "no absorption scan")


def test_an_absorption_scan_that_cannot_be_read_says_why():
    energy = np.linspace(7050, 7300, 50)
    record = assemble(documents({"dcm_energy": energy}, element="Fe", edge="K"))
    assert "no usable channels" in recognise(record).reason


def read_as(edge="Fe K", **mapping) -> Recognised:
    return Recognised("run", mapping, edge=edge)


@pytest.mark.parametrize(
    ("runs", "settings", "doubtful"),
    [
        ([], {}, {}),
        ([Recognised("x", {}, reason="no absorption scan")], {}, {}),
        (
            [read_as(energy="e", i0="a"), read_as(energy="e", i0="b")],
            {"energy": "e"},
            {"i0": "runs differ: a or b"},
        ),
        (
            [read_as(energy="e", it="t"), read_as(energy="e")],
            {"energy": "e"},
            {"it": "t, but only in some runs"},
        ),
        (
            [read_as(fluorescence=("xs_ch1_fe_ka", "xs_ch2_fe_ka"))],
            {},
            {"fluorescence": "xs_ch1_fe_ka + xs_ch2_fe_ka is for one element only"},
        ),
        ([read_as(fluorescence=("ch1", "ch2"))], {"fluorescence": ("ch1", "ch2")}, {}),
        ([read_as(fluorescence=("FeKa1",))], {}, {"fluorescence": "FeKa1 is for one element only"}),
        ([read_as(fluorescence=("ferry",))], {"fluorescence": ("ferry",)}, {}),
    ],
)
def test_only_what_all_runs_agree_on_is_proposed(runs, settings, doubtful):
    proposal = propose(runs)
    assert (proposal.settings, proposal.doubtful) == (settings, doubtful)


class Container:
    """A Tiled container of runs, as far as it is looked at."""

    def __init__(self, *runs):
        self.runs = runs

    def values(self):
        return self

    def tail(self, n):
        return list(self.runs[-n:])


class Run:
    def __init__(self, found):
        self.found = found

    def documents(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_the_youngest_runs_come_first_and_damage_is_passed_over():
    energy = {"dcm_energy": np.linspace(7050, 7300, 9)}
    runs = [Run(list(documents(energy, scan_id=i))) for i in range(4)]
    damaged = Run(ValueError("406"))
    found = list(last_runs(Container(*runs[:3], damaged, runs[3]), 4))
    assert [record.start["scan_id"] for record in found] == [3, 2, 1]


# -- the file -----------------------------------------------------------------------------------


def test_the_template_with_nothing_set_is_the_defaults():
    text = toml({}, {}, "head")
    assert parse(tomllib.loads(text)) == Config()
    for section, field in Config.model_fields.items():
        for name in field.annotation.model_fields:
            assert f"# {name}" in text, f"{section}.{name} is not shown"


def test_every_default_that_is_shown_is_the_default(tmp_path):
    shown = []
    for line in toml({}, {}, "").splitlines():
        name, equals, value = line.removeprefix("# ").partition(" = ")
        takes_a_value = equals and value and name.isidentifier()
        shown.append(f"{name} = {value}" if takes_a_value else line)
    path = tmp_path / "all.toml"
    path.write_text("\n".join(shown))
    assert load(path) == Config()


@given(
    st.recursive(
        st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda values: (
            st.lists(values)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values)
        ),
        max_leaves=8,
    )
)
def test_what_is_written_is_what_is_read(value):
    assert tomllib.loads(f"x = {literal(value)}")["x"] == value


def test_a_secret_is_not_written():
    with pytest.raises(TypeError, match="secret"):
        literal(SecretStr("s3cret"))


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def found(monkeypatch):
    """What a look at Tiled gives; whoever looks is noted."""
    runs = (recognise(scan()), recognise(scan()))
    state = {"found": Found("six/raw", runs, ("results",), ("looked",)), "asked": []}

    def stand_in(uri, key, raw_path, count):
        state["asked"].append((uri, key, raw_path, count))
        return state["found"]

    monkeypatch.setattr(init, "look", stand_in)
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    return state


def test_yes_asks_nothing_and_proposes(tmp_path, found, monkeypatch, capsys):
    monkeypatch.setenv(API_KEY_VARIABLE, "s3cret")
    path = tmp_path / "beamline.toml"
    assert init_command(path, Answers(tiled="http://tiled:1"), ask=False, runs=3) == 0
    config = load(path)
    assert (config.source.kind, config.tiled.uri) == ("zmq", "http://tiled:1")
    assert (config.tiled.raw_path, config.tiled.results_path) == (
        "six/raw",
        "six/sandbox/xanes_live",
    )
    assert config.tiled.access_tags == ("results",)
    beamline = config.beamline
    assert (beamline.energy, beamline.i0, beamline.it) == ("dcm_energy", "ic0", "ic1")
    assert beamline.ir is None
    assert found["asked"] == [("http://tiled:1", "s3cret", None, 3)]
    out = capsys.readouterr().out
    assert "s3cret" not in out + path.read_text()
    assert "energy = dcm_energy" in out


def test_answers_are_taken(tmp_path, found):
    path = tmp_path / "beamline.toml"
    typed = ["kafka", "k:9092", "a, b", "http://t:2", "s3cret", "raw2", "elsewhere/results"]
    done = CliRunner().invoke(app, ["init", str(path)], input="\n".join(typed) + "\n")
    assert done.exit_code == 0, done.output
    config = load(path)
    assert (config.source.kind, config.source.address) == ("kafka", "k:9092")
    assert config.source.topics == ("a", "b")
    assert config.tiled.raw_path == "raw2"
    assert config.tiled.results_path == "elsewhere/results"
    assert found["asked"][0][:2] == ("http://t:2", "s3cret")
    assert "s3cret" not in done.output + path.read_text()


def test_doubts_are_remarks(tmp_path, found):
    differ = recognise(scan(("dcm_energy", "i0", "it")))
    found["found"] = replace(found["found"], runs=(*found["found"].runs, differ))
    path = tmp_path / "beamline.toml"
    init_command(path, Answers(), ask=False)
    assert load(path).beamline.i0 is None
    text = " ".join(line.removeprefix("# ") for line in path.read_text().splitlines())
    assert "runs differ: ic0 or i0" in text


def test_a_file_is_not_written_over(tmp_path, found):
    path = tmp_path / "beamline.toml"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="--force"):
        init_command(path, Answers(), ask=False)
    assert path.read_text() == "mine"
    init_command(path, Answers(), ask=False, force=True)
    assert load(path).source.kind == "zmq"


@pytest.mark.parametrize("answers", [Answers(source="mqtt"), Answers(raw_path="", tiled=" ")])
def test_impossible_answers_write_nothing(tmp_path, found, answers):
    path = tmp_path / "sub" / "beamline.toml"
    with pytest.raises(ConfigurationError):
        init_command(path, answers, ask=False)
    assert not path.exists()


@pytest.mark.parametrize(
    ("raw", "results"),
    [
        ("raw", "sandbox/xanes_live"),
        ("iss/raw", "iss/sandbox/xanes_live"),
        ("", "sandbox/xanes_live"),
    ],
)
def test_results_lie_beside_the_raw_runs(raw, results):
    assert beside(raw) == results


def test_a_server_that_is_away_is_told():
    found = look("http://127.0.0.1:9", None, None, 3)
    assert (found.path, found.runs) == ("raw", ())
    assert "not reached" in found.words[0]
    assert look("http://127.0.0.1:9", None, "x/raw", 0) == Found("x/raw")
