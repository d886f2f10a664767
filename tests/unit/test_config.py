"""Configuration: what is accepted, what is refused, and what changes the hash."""

import pytest

from xanes_live.config import API_KEY_VARIABLE, Config, load, parse
from xanes_live.errors import ConfigurationError
from xanes_live.log import configure


def test_defaults_need_no_file():
    assert load(None) == Config()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[beamline]\ni0 = "ic0"\nfluorescence = ["f1", "f2"]\n'),
        ("a.yaml", "beamline:\n  i0: ic0\n  fluorescence: [f1, f2]\n"),
    ],
)
def test_toml_and_yaml_say_the_same(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    beamline = load(path).beamline
    assert (beamline.i0, beamline.fluorescence) == ("ic0", ("f1", "f2"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"beamline": {"I0": "x"}}, "beamline.I0"),
        ({"beam": {}}, "beam"),
        ({"source": {"serializer": "pickle"}}, "source.serializer"),
        ({"reduction": {"nnorm": -1}}, "reduction.nnorm"),
    ],
)
def test_wrong_settings_are_named(data, words):
    with pytest.raises(ConfigurationError, match=words):
        parse(data)


@pytest.mark.parametrize("text", ["[beamline\n", "beamline = 3\n[x]"])
def test_broken_toml_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"a\.toml"):
        load(path)


def test_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_one_sentence(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"a\.toml: not a text file"):
        load(path)


def test_hash_follows_what_changes_numbers_and_nothing_else():
    base = Config().hash()
    assert parse({"tiled": {"uri": "http://other:1"}}).hash() == base
    assert parse({"service": {"queue": 3}}).hash() == base
    assert parse({"reduction": {"pre1": -100.0}}).hash() != base
    assert parse({"beamline": {"i0": "x"}}).hash() != base
    assert parse({"confidence": {"amber_half_width": 0.01}}).hash() != base


def test_secrets_do_not_show(monkeypatch):
    config = parse({"tiled": {"api_key": "s3cret"}})
    assert "s3cret" not in repr(config)
    assert config.tiled_key() == "s3cret"
    monkeypatch.setenv(API_KEY_VARIABLE, "fromenv")
    assert config.tiled_key() == "fromenv"


def test_an_unknown_log_level_is_one_sentence():
    with pytest.raises(ConfigurationError, match="log level 'LOUD': expected DEBUG"):
        configure("LOUD")


@pytest.mark.parametrize(
    "wrong",
    [
        {"green_probability": 0.3},
        {"red_probability": 0.95},
        {"amber_half_width": 0.7},
        {"red_half_width": 0.2},
    ],
)
def test_red_is_worse_than_amber(wrong):
    with pytest.raises(ConfigurationError, match=r"confidence: .* is (above|below)"):
        parse({"confidence": wrong})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"element": "Xx"}, "Xx: no element"), ({"edge": "Q7"}, "Q7: no edge"),
        ({"dark": {"I0": 5.0}}, "I0: no channel; there are i0"),
        ({"saturation": {"foo": 1.0}}, "foo: no channel"),
        ({"exclude_elements": [-1]}, "exclude_elements"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing_are_refused(given, told):
    with pytest.raises(ConfigurationError, match=told):
        parse({"beamline": given})
    assert parse({"beamline": {"element": "fe", "edge": "k", "dark": {"i0": 5.0}}})


def test_a_key_may_end_like_the_file_it_is_kept_in(monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, "SECRET\n")
    assert Config().tiled_key() == "SECRET"
    monkeypatch.delenv(API_KEY_VARIABLE)
    assert parse({"tiled": {"api_key": "SECRET\r\n"}}).tiled_key() == "SECRET"


@pytest.mark.parametrize("key", ["SEC\nRET", "SECRÉT"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_told(monkeypatch, key):
    monkeypatch.setenv(API_KEY_VARIABLE, key)
    with pytest.raises(ConfigurationError, match=API_KEY_VARIABLE) as refused:
        Config().tiled_key()
    assert "SEC" not in str(refused.value)


def test_yaml_that_is_none_is_told_without_its_lines(tmp_path):
    path = tmp_path / "beamline.yaml"
    path.write_text('tiled:\n  api_key: "SECRET\n')
    with pytest.raises(ConfigurationError, match=r"line \d") as refused:
        load(path)
    assert "SECRET" not in str(refused.value)
