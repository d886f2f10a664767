"""Files: every form met at beamlines is read, anything else is refused with a sentence."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories, measured
from xanes_live.documents.athena import parse as parse_athena
from xanes_live.documents.columns import recognise
from xanes_live.documents.files import read_file
from xanes_live.documents.guess import nearest_edge, steepest_rise
from xanes_live.documents.tables import parse as parse_table
from xanes_live.errors import ReadError

ENERGY = factories.energies(120)
MU = factories.white_line(ENERGY)
I0 = 1e5 + 30.0 * (ENERGY - 7000.0)
IT = I0 * np.exp(-MU)


def write(path, *columns, header="", separator=" ", form="%.6f"):
    rows = "\n".join(separator.join(form % v for v in row) for row in zip(*columns, strict=True))
    path.write_text(header + rows + "\n")
    return path


def only(path):
    (scan,) = read_file(path)
    (sweep,) = scan.sweeps
    return scan, sweep


# -- the measured files --------------------------------------------------------------------------


def test_every_measured_file_is_read_with_element_edge_and_a_signal():
    elements = {"k2": "Cr", "cr": "Cr", "Mn": "Mn", "Cu": "Cu", "cu": "Cu", "V2": "V",
                "Ch": "Zn", "Ni": "Ni"}  # fmt: skip
    for s in measured.spectra():
        assert (s.scan.element, s.scan.edge) == (elements.get(s.name[:2], "Fe"), "K"), s.name
        assert np.isfinite(s.mu).all()
        assert s.scan.sample


def test_an_xdi_file_is_read_with_all_that_its_header_says():
    scan, sweep = only(measured.DEMO / "Fe_Foil_rt_2016Foils.xdi")
    assert (scan.element, scan.edge, scan.e0_announced) == ("Fe", "K", 7112.0)
    assert scan.source == "Fe_Foil_rt_2016Foils.xdi"
    assert scan.time > 1.4e9
    assert scan.metadata["facility.name"] == "APS"
    assert json.dumps(scan.metadata)
    assert sweep.i0.shape == sweep.it.shape == sweep.energy.shape == (532,)
    # two energies are recorded; the one named plainly counts
    assert sweep.energy[0] == pytest.approx(7012.0, abs=1.0)
    assert sweep.mu is None
    assert sweep.fluorescence is None


def test_columns_in_exponential_notation_and_references_are_read():
    _, sweep = only(measured.DATA / "V2O5.xdi")
    assert sweep.energy[0] == pytest.approx(5365.0, abs=1.0)
    _, sweep = only(measured.DATA / "k2cro4_rt_001.xdi")
    assert sweep.ir.shape == sweep.energy.shape


def test_als_and_lucia_files_are_read():
    scan, sweep = only(measured.DATA / "Hedenbergite FeXANES powder avg.e")
    assert scan.sample == "Hedenbergite powder average"
    assert sweep.mu.shape == sweep.energy.shape == (243,)
    scan, sweep = only(measured.DATA / "Gillepsite_01.dat")
    assert scan.sample == "Gillepsite"
    assert sweep.fluorescence.shape == (1, 148)
    # the fluorescence corrected for dead time, not the raw one
    raw = np.loadtxt(measured.DATA / "Gillepsite_01.dat", comments="#", encoding="latin-1")
    np.testing.assert_array_equal(sweep.fluorescence[0], raw[:, 4])
    np.testing.assert_array_equal(sweep.i0, raw[:, 1])
    assert sweep.it is None, "a channel of zeros was not connected"


@pytest.mark.parametrize(("name", "points"), [("FeO.prj", 412), ("FeS2.prj", 353)])
def test_athena_projects_are_read_as_larch_reads_them(name, points):
    measured.larch_xafs()
    from larch.io import read_athena

    project = measured.larch_call(read_athena, str(measured.DATA / name), do_preedge=False,
                                  do_bkg=False)  # fmt: skip
    (group,) = (g for g in vars(project).values() if hasattr(g, "energy"))
    scan, sweep = only(measured.DATA / name)
    np.testing.assert_array_equal(sweep.energy, group.energy)
    np.testing.assert_array_equal(sweep.mu, group.mu)
    assert sweep.energy.size == points
    assert (scan.element, scan.edge) == ("Fe", "K")
    assert scan.e0_announced == pytest.approx(float(group.athena_params.bkg.e0))


# -- Athena --------------------------------------------------------------------------------------


def perl_list(values):
    return "(" + ",".join(f"'{v}'" for v in values) + ")"


def perl_group(name, label, args=(), energy=ENERGY, mu=MU):
    pairs = ["label", label, "is_chi", "0", *args]
    return (
        f"$old_group = '{name}';\n@args = {perl_list(pairs)};\n@x = {perl_list(energy)};\n"
        f"@y = {perl_list(mu)};\n[record]   # create object and set array\n\n"
    )


HEAD = "# Athena project file -- Demeter version 0.9.20\n# Using Demeter\n\n"


def test_a_project_of_several_groups_with_shift_apostrophe_and_nested_values(tmp_path):
    path = tmp_path / "two.prj"
    nested = perl_group("a", "it\\'s rust", ("xdi", "X", "bkg_z", "Fe", "fft_edge", "k"))
    nested = nested.replace("'X'", "{'a' => ['b', {}], 'c' => ''}")
    shifted = perl_group("b", "foil", ("bkg_eshift", "5.5", "bkg_e0", "7112"))
    chi = perl_group("c", "chi(k)").replace("'is_chi','0'", "'is_chi','1'")
    path.write_bytes(gzip.compress((HEAD + nested + shifted + chi + "1;\n").encode()))
    rust, foil = read_file(path)
    assert rust.sample == "it's rust"
    assert (rust.element, rust.edge) == ("Fe", "K")
    assert foil.e0_announced == 7112.0
    np.testing.assert_allclose(foil.sweeps[0].energy, ENERGY + 5.5)
    assert [f.code for f in foil.flags] == ["aligned"]
    assert rust.flags == ()
    assert rust.uid != foil.uid


def test_projects_as_larch_writes_them_are_read(tmp_path):
    data = {
        "_____header1": "# Athena project file -- Demeter JSON version 0.9.25",
        "_____journal": ["nothing"],
        "_____order": ["k1"],
        "k1": {
            "args": {"label": "rust", "bkg_z": "Fe", "fft_edge": "K", "is_chi": 0},
            "x": [str(v) for v in ENERGY],
            "y": [float(v) for v in MU],
        },
    }
    path = tmp_path / "larch.prj"
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    scan, sweep = only(path)
    assert (scan.sample, scan.element) == ("rust", "Fe")
    np.testing.assert_allclose(sweep.mu, MU)


@pytest.mark.parametrize("text", [HEAD, HEAD + "1;\n", '{"_____header1": "x"}', '{"____header'])
def test_projects_without_spectra_are_refused(text):
    with pytest.raises(ReadError, match="Athena project"):
        parse_athena(text)


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [" ", "\t", ", ", ";", "   "])
@pytest.mark.parametrize("header", ["", "# energy mu\n", "energy  mu\n", "#%Name: rust\n"])
def test_two_columns_are_energy_and_mu(tmp_path, separator, header):
    scan, sweep = only(write(tmp_path / "Fe.txt", ENERGY, MU, header=header, separator=separator))
    np.testing.assert_allclose(sweep.energy, ENERGY, atol=1e-6)
    np.testing.assert_allclose(sweep.mu, MU, atol=1e-6)
    assert (scan.element, scan.edge) == ("Fe", "K")
    assert scan.sample == ("rust" if "Name" in header else "Fe")


def test_energies_in_kev_become_ev(tmp_path):
    _, sweep = only(write(tmp_path / "a.dat", ENERGY / 1000, MU, form="%.9f"))
    np.testing.assert_allclose(sweep.energy, ENERGY, atol=1e-5)
    header = "# XDI/1.0\n# Column.1: energy keV\n# Column.2: mutrans\n# Element.symbol: Fe\n#---\n"
    scan, sweep = only(write(tmp_path / "b.xdi", ENERGY / 1000, MU, header=header, form="%.9f"))
    np.testing.assert_allclose(sweep.energy, ENERGY, atol=1e-5)
    assert (scan.element, scan.edge) == ("Fe", "K")


def test_energies_as_bragg_angles_need_the_d_spacing(tmp_path):
    angle = np.rad2deg(np.arcsin(12398.419843320026 / (2 * 3.13555 * ENERGY)))
    header = "# XDI/1.0\n# Column.1: angle degrees\n# Column.2: i0\n# Column.3: itrans\n{}#---\n"
    with_d = header.format("# Mono.d_spacing: 3.13555\n")
    _, sweep = only(write(tmp_path / "a.xdi", angle, I0, IT, header=with_d, form="%.12f"))
    np.testing.assert_allclose(sweep.energy, ENERGY, atol=1e-5)
    with pytest.raises(ReadError, match="d-spacing"):
        read_file(write(tmp_path / "b.xdi", angle, I0, IT, header=header.format("")))


def test_three_unnamed_columns_of_counts_are_energy_i0_and_it(tmp_path):
    _, sweep = only(write(tmp_path / "counts.dat", ENERGY, I0, IT))
    np.testing.assert_allclose(sweep.i0, I0, atol=1e-5)
    np.testing.assert_allclose(sweep.it, IT, atol=1e-5)
    _, sweep = only(write(tmp_path / "xmu.dat", ENERGY, MU, I0))
    np.testing.assert_allclose(sweep.mu, MU, atol=1e-5)


def test_decimal_commas_and_fortran_exponents_are_numbers(tmp_path):
    path = tmp_path / "comma.txt"
    path.write_text("\n".join(f"{e:.4f};{m:.6f}".replace(".", ",") for e, m in zip(ENERGY, MU,
                    strict=True)))  # fmt: skip
    _, sweep = only(path)
    np.testing.assert_allclose(sweep.mu, MU, atol=1e-6)
    path.write_text("\n".join(f"{e:.6E} {m:.8E}".replace("E", "D") for e, m in zip(ENERGY, MU,
                    strict=True)))  # fmt: skip
    _, sweep = only(path)
    np.testing.assert_allclose(sweep.mu, MU, atol=1e-6)


def test_many_channels_of_a_multi_element_detector_are_recognised(tmp_path):
    rng = np.random.default_rng(0)
    names = ["Energy", "Energy_readback", "CountTime", "I0", "I1", "Sum_Fe_Ka", "Ca_Ka_mca1",
             "Ca_Ka_mca2", "Fe_Ka_mca1", "Fe_Ka_mca2", "OutputCounts_mca1", "DTFactor_mca1",
             "DTFactor_mca2", "Clock_mca1"]  # fmt: skip
    values = [ENERGY, ENERGY + 0.01, np.ones(120), I0, IT, *rng.uniform(1, 9, (9, 120))]
    head = "".join(f"# Column.{i + 1}: {n} counts || PV:{n}\n" for i, n in enumerate(names))
    head = f"# XDI/1.1\n{head}# ScanParameters.element: Fe\n# ScanParameters.edge: K\n#----\n"
    scan, sweep = only(
        write(tmp_path / "scan.001", *values, header=head + "# " + " ".join(names) + "\n")
    )
    np.testing.assert_allclose(sweep.energy, ENERGY, atol=1e-5)
    expected = np.stack([values[8] * values[11], values[9] * values[12]])
    np.testing.assert_allclose(sweep.fluorescence, expected, atol=1e-4)
    assert sweep.i0 is not None
    assert sweep.it is not None
    assert (scan.element, scan.edge) == ("Fe", "K")


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["energy", "i0", "itrans", "irefer"], {"energy": 0, "i0": 1, "it": 2, "ir": 3}),
        (["energy", "itrans", "i0"], {"energy": 0, "i0": 2, "it": 1}),
        (["energy", "mutrans", "i0"], {"energy": 0, "mu": 1, "i0": 2}),
        (["Energy", "Io", "FY", "DeadTime", "FY_c", "TEY", "It"],
         {"energy": 0, "i0": 1, "fluorescence": (4,), "it": 6}),
        (["#", "en", "I0", "If1", "If2", "If3"], {"energy": 1, "i0": 2, "fluorescence": (3, 4, 5)}),
        (["mono_energy", "sclr_i0", "sclr_it", "pips"],
         {"energy": 0, "i0": 1, "it": 2, "fluorescence": (3,)}),
        (["time", "index"], {"energy": None, "mu": None, "i0": None}),
    ],
)  # fmt: skip
def test_names_of_columns_mean_what_they_are_known_to_mean(names, roles):
    found = recognise(names, "Fe")
    assert {role: getattr(found, role) for role in roles} == roles


def test_spec_files_hold_one_scan_each(tmp_path):
    blocks = [
        f"#S {n}  ascan  energy 7.0 7.3 120 1\n#D Mon Nov 02 10:00:00 2020\n#N 3\n"
        "#L energy  i0  itrans\n"
        + "\n".join(f"{e:.4f} {a:.1f} {b:.3f}" for e, a, b in zip(ENERGY, I0, IT, strict=True))
        for n in (1, 2)
    ]
    path = tmp_path / "spec.dat"
    path.write_text("#F spec.dat\n#E 1604311200\n\n" + "\n\n".join(blocks) + "\n")
    scans = read_file(path)
    assert len(scans) == 2
    assert scans[0].uid != scans[1].uid
    for scan in scans:
        np.testing.assert_allclose(scan.sweeps[0].it, IT, atol=1e-3)


def test_incomplete_lines_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "a.txt", ENERGY, MU)
    path.write_text(path.read_text() + "7300.0\n")
    scan, sweep = only(path)
    assert sweep.energy.size == ENERGY.size
    assert [f.code for f in scan.flags] == ["points_dropped"]


def test_lines_that_are_no_numbers_are_counted_among_the_data_and_not_behind_them(tmp_path):
    lines = write(tmp_path / "a.txt", ENERGY, MU).read_text().splitlines()
    middle, end = lines.copy(), [*lines, "end of scan"]
    middle[40:43] = ["7110.0 ****"] * 3
    (tmp_path / "a.txt").write_text("\n".join(middle))
    scan, sweep = only(tmp_path / "a.txt")
    assert sweep.energy.size == ENERGY.size - 3
    assert "3 points" in scan.flags[0].message
    (tmp_path / "a.txt").write_text("\n".join(end))
    assert only(tmp_path / "a.txt")[0].flags == ()


def test_a_scan_may_be_gzipped_latin_1_utf_16_or_have_a_byte_order_mark(tmp_path):
    text = write(tmp_path / "a.txt", ENERGY, MU, header="# Name: Rosté\n").read_text()
    for data in (gzip.compress(text.encode()), text.encode("latin-1"), text.encode("utf-16"),
                 text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):  # fmt: skip
        path = tmp_path / "b.txt"
        path.write_bytes(data)
        scan, sweep = only(path)
        assert scan.sample == "Rosté"
        np.testing.assert_allclose(sweep.mu, MU, atol=1e-6)


def test_the_uid_is_that_of_the_contents(tmp_path):
    first = write(tmp_path / "a.txt", ENERGY, MU)
    second = tmp_path / "elsewhere.txt"
    shutil.copy(first, second)
    third = write(tmp_path / "c.txt", ENERGY, 2 * MU)
    uids = [read_file(p)[0].uid for p in (first, second, third)]
    assert uids[0] == uids[1] != uids[2]
    assert read_file(str(first))[0].uid == uids[0]


# -- element and edge ----------------------------------------------------------------------------


@pytest.mark.parametrize(("symbol", "e0"), [("Ti", 4968.0), ("Fe", 7122.0), ("Cu", 8985.0),
                                            ("Se", 12_662.0), ("Mo", 20_005.0)])  # fmt: skip
def test_the_element_is_taken_from_where_the_signal_rises(tmp_path, symbol, e0):
    energy = factories.energies(300, e0)
    scan, _ = only(write(tmp_path / "x.txt", energy, factories.white_line(energy, e0)))
    assert (scan.element, scan.edge) == (symbol, "K")


def test_an_element_spelled_in_the_name_decides_between_edges_in_reach(tmp_path):
    energy = factories.energies(300, 11_564.0)
    mu = factories.white_line(energy, 11_564.0)
    scan, _ = only(write(tmp_path / "Pt_foil.txt", energy, mu))
    assert (scan.element, scan.edge) == ("Pt", "L3")


def test_the_header_wins_over_the_energies(tmp_path):
    header = "# Element.symbol: mn\n# Element.edge: K\n"
    scan, _ = only(write(tmp_path / "x.txt", ENERGY, MU, header=header))
    assert (scan.element, scan.edge) == ("Mn", "K")


def test_rises_and_edges_that_are_not_there():
    assert steepest_rise(ENERGY[:5], MU[:5]) is None
    assert steepest_rise(ENERGY, -ENERGY) is None
    assert steepest_rise(ENERGY, np.full(ENERGY.size, np.nan)) is None
    assert nearest_edge(10.0) is None
    assert abs(steepest_rise(ENERGY[::-1], MU[::-1]) - 7115.0) < 6.0


# -- what is refused -----------------------------------------------------------------------------


def bad_files(folder):
    (folder / "directory").mkdir()
    (folder / "empty").write_text("")
    (folder / "blank").write_text(" \n\n")
    (folder / "binary").write_bytes(bytes(range(256)) * 4)
    (folder / "prose").write_text("It was a dark night.\nThe beam was lost.\n")
    (folder / "one column").write_text("1\n2\n3\n4\n")
    (folder / "one row").write_text("7112.0 1.0\n")
    (folder / "half gzip").write_bytes(gzip.compress(b"7112 1\n" * 9999)[:40])
    (folder / "bad gzip").write_bytes(b"\x1f\x8b" + b"nonsense" * 9)
    return {
        "missing": "No such file", "directory": "directory", "empty": "empty", "blank": "empty",
        "binary": "binary", "prose": "no table", "one column": "no table", "one row": "no table",
        "half gzip": "gzip", "bad gzip": "gzip",
    }  # fmt: skip


def test_anything_else_is_refused_with_a_sentence_that_names_the_file(tmp_path):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(ReadError, match=reason) as caught:
            read_file(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_that_grows_without_end_when_decompressed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_live.documents.files.MAX_BYTES", 10_000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"7112 1\n" * 100_000))
    with pytest.raises(ReadError, match="larger than"):
        read_file(path)
    (tmp_path / "large").write_bytes(b"7112 1\n" * 10_000)
    with pytest.raises(ReadError, match="larger than"):
        read_file(tmp_path / "large")


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_no_contents_whatever_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    try:
        scans = read_file(path)
    except ReadError:
        return
    assert all(scan.sweeps for scan in scans)


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="#$@%&'\"()[]{};,= \n\\abxy0123456789.eE-", max_size=200))
def test_no_project_whatever_raises_anything_else(text):
    try:
        parse_athena(HEAD + "$old_group = 'a';\n@x = (" + text)
    except ReadError:
        return


def test_a_table_names_its_units():
    (table,) = parse_table("# Energy (keV)\tmu\n7.0\t1\n7.1\t2\n")
    assert table.names == ("Energy", "mu")
    assert table.units == {"energy": "keV"}
