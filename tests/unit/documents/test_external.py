"""Values in files: HDF5 of every layout, other forms, and files that are not there."""

from __future__ import annotations

import os
from dataclasses import replace

import event_model
import h5py
import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.complete import needs_rereading
from xanes_live.documents.external import read_external, readable
from xanes_live.documents.identify import identify
from xanes_live.documents.run import ProblemKind, RunRecord
from xanes_live.domain import Declined, Scan

N = 120
E = 7112.0 + np.linspace(-60, 120, N)
VALUES = {"energy": E, **runs.readings(E)}


def flown(path, shapes, *, frames=1, blocks=((0, N),), drop=(), stop_events=None) -> RunRecord:
    """Return a fly scan whose keys lie in one HDF5 file; `shapes` as the descriptor has them."""
    run = event_model.compose_run(metadata=runs.FE)
    keys = {
        key: {"source": "", "dtype": "number", "shape": list(shape), "external": "STREAM:"}
        for key, shape in shapes.items()
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    for key in shapes:
        bundle = run.compose_stream_resource(
            data_key=key,
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            parameters={"dataset": f"entry/{key}", "chunk_shape": [10]},
        )
        documents.append(("stream_resource", bundle.stream_resource_doc))
        for a, b in blocks:
            datum = bundle.compose_stream_datum(
                indices={"start": a, "stop": b}, seq_nums={"start": a + 1, "stop": b + 1}
            )
            if (key, a) not in drop:
                datum = {**datum, "descriptor": stream.descriptor_doc["uid"]}
                documents.append(("stream_datum", datum))
    stop = {**run.compose_stop(), "num_events": {"primary": stop_events or blocks[-1][1]}}
    record = assemble([*documents, ("stop", stop)])
    assert record is not None
    return record


def write(path, **datasets) -> None:
    with h5py.File(path, "w") as file:
        for key, values in datasets.items():
            file[f"entry/{key}"] = values


def column(record, key) -> np.ndarray:
    return read_external(record).streams["primary"].columns[key]


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("stored", ["1-D", "2-D"])
def test_scalars(tmp_path, shape, stored):
    path = tmp_path / "scan.h5"
    write(path, energy=E if stored == "1-D" else E[:, None])
    record = flown(path, {"energy": shape}, blocks=((0, 50), (50, N)))
    np.testing.assert_array_equal(column(record, "energy"), E)
    assert read_external(record).problems == ()
    assert read_external(record).external == ()


def test_elements_of_a_detector(tmp_path):
    fluorescence = np.array([VALUES[f"f{k}"] for k in range(4)]).T
    write(tmp_path / "f.h5", sdd=fluorescence)
    np.testing.assert_array_equal(
        column(flown(tmp_path / "f.h5", {"sdd": (4,)}), "sdd"), fluorescence
    )


@pytest.mark.parametrize("stored", ["long", "rows"])
def test_sweeps_of_many_points_an_event(tmp_path, stored):
    sweeps = np.array([E, E[::-1], E])
    write(tmp_path / "f.h5", energy=sweeps.ravel() if stored == "long" else sweeps)
    record = flown(tmp_path / "f.h5", {"energy": (N,)}, blocks=((0, 3),))
    np.testing.assert_array_equal(column(record, "energy"), sweeps)


def test_a_whole_scan_in_a_file(tmp_path):
    write(tmp_path / "f.h5", panda_energy=E, panda_i0=VALUES["i0"], panda_it=VALUES["it"])
    record = flown(tmp_path / "f.h5", dict.fromkeys(("panda_energy", "panda_i0", "panda_it"), (1,)))
    scan = identify(record, BeamlineConfig())
    assert isinstance(scan, Scan)
    np.testing.assert_array_equal(scan.sweeps[0].it, VALUES["it"])
    assert scan.flags == ()


def test_the_file_may_be_longer_than_the_run(tmp_path):
    write(tmp_path / "f.h5", energy=np.concatenate([E, np.zeros(30)]))
    np.testing.assert_array_equal(column(flown(tmp_path / "f.h5", {"energy": ()}), "energy"), E)


def test_a_file_that_is_shorter_leaves_nan(tmp_path):
    write(tmp_path / "f.h5", energy=E[:100])
    found = read_external(flown(tmp_path / "f.h5", {"energy": ()}))
    assert len(found.streams["primary"].seq_num) == 100
    (problem,) = found.problems
    assert (problem.kind, problem.missing) == (ProblemKind.EVENTS_MISSING, 20)


def test_rows_that_were_never_announced_are_missed(tmp_path):
    write(tmp_path / "f.h5", energy=E, i0=VALUES["i0"], it=VALUES["it"])
    record = flown(
        tmp_path / "f.h5",
        {"energy": (), "i0": (), "it": ()},
        blocks=((0, 60), (60, N)),
        drop=[("it", 60)],
    )
    scan = identify(record, BeamlineConfig())
    assert isinstance(scan, Scan)
    assert [f.code for f in scan.flags] == ["data_missing"]
    assert "(it)" in scan.flags[0].message
    assert np.isnan(scan.sweeps[0].it[60:]).all()


def test_paths_are_mapped(tmp_path):
    write(tmp_path / "f.h5", energy=E)
    record = flown("/nsls2/data/proposal/f.h5", {"energy": ()})
    (external,) = record.external
    mapping = {"/nsls2/data/": "/elsewhere/", "/nsls2/data/proposal": str(tmp_path)}
    assert not readable(external, {})
    assert readable(external, mapping)
    assert needs_rereading(record) is not None
    assert needs_rereading(record, BeamlineConfig(path_map=mapping)) is None
    np.testing.assert_array_equal(
        read_external(record, mapping).streams["primary"].columns["energy"], E
    )


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file://localhost/no/such.h5", "no such file"),
        ("s3://bucket/key.h5", "is no file"),
        ("file://localhost/dev/null", "no such file"),
        ("", "is no file"),
        (None, "is no file"),
    ],
)
def test_what_is_not_there_is_named(uri, words):
    record = flown("/x.h5", {"mono_energy": (), "i0": ()})
    for external in record.external:
        external.resource["uri"] = uri
    declined = identify(record, BeamlineConfig())
    assert isinstance(declined, Declined)
    assert declined.flag.code == "external_unread"
    assert words in declined.flag.message


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    found = read_external(flown(tmp_path / "pipe.h5", {"energy": ()}))
    assert found.has(ProblemKind.EXTERNAL)


def test_a_damaged_file_and_a_wrong_dataset(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    assert read_external(flown(tmp_path / "bad.h5", {"energy": ()})).has(ProblemKind.EXTERNAL)
    write(tmp_path / "other.h5", something=E)
    assert read_external(flown(tmp_path / "other.h5", {"energy": ()})).has(ProblemKind.EXTERNAL)
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("entry/energy")
    assert read_external(flown(tmp_path / "group.h5", {"energy": ()})).has(ProblemKind.EXTERNAL)


def test_images_are_not_read_and_do_not_matter(tmp_path):
    write(tmp_path / "f.h5", energy=E, i0=VALUES["i0"], it=VALUES["it"])
    record = flown("/gone/camera.h5", {"camera": (1024, 1024)})
    good = flown(tmp_path / "f.h5", dict.fromkeys(("energy", "i0", "it"), ()))
    assert needs_rereading(record) is None
    assert read_external(record) == record
    assert identify(good, BeamlineConfig()).flags == ()


def test_a_missing_file_of_another_detector_is_no_matter(tmp_path):
    documents = runs.xas(runs.PLAIN, runs.FE)
    uid = documents[0][1]["uid"]
    descriptor = {**documents[1][1]}
    descriptor["data_keys"] = {**descriptor["data_keys"], "pilatus_roi9": {"shape": [3]}}
    resource = {"uid": "r", "run_start": uid, "data_key": "thermometer", "uri": "file:///gone"}
    datum = {
        "uid": "r/0", "stream_resource": "r", "descriptor": descriptor["uid"],
        "indices": {"start": 0, "stop": 5}, "seq_nums": {"start": 1, "stop": 6},
    }  # fmt: skip
    extra = [("stream_resource", resource), ("stream_datum", datum)]
    record = assemble([documents[0], ("descriptor", descriptor), *extra, *documents[2:]])
    scan = identify(record, BeamlineConfig())
    assert isinstance(scan, Scan)
    assert scan.flags == ()


def test_handlers_by_spec():
    record = assemble(_with_resource())

    def handler(path, factor):
        assert str(path) == "/data/file.bin"
        return lambda i: factor * i

    found = read_external(record, {"/facility": "/data"}, {"X": handler})
    np.testing.assert_array_equal(found.streams["primary"].columns["img"], [0.0, 10.0, 20.0])
    assert found.problems == ()
    failing = read_external(record, {}, {})
    assert "no handler for 'X'" in failing.problems[0].detail


def _with_resource():
    run = event_model.compose_run()
    keys = {"img": {"source": "", "dtype": "number", "shape": [], "external": "FILESTORE:"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    resource = run.compose_resource(
        spec="X",
        root="/facility",
        resource_path="file.bin",
        resource_kwargs={"factor": 10.0},
        path_semantics="posix",
    )
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    documents.append(("resource", resource.resource_doc))
    for i in range(3):
        datum = resource.compose_datum(datum_kwargs={"i": i})
        event = stream.compose_event(
            data={"img": datum["datum_id"]}, timestamps={"img": 0}, filled={"img": False}
        )
        documents += [("datum", datum), ("event", event)]
    return [*documents, ("stop", run.compose_stop())]


def test_an_old_resource_that_does_not_name_its_run():
    documents = _with_resource()
    del documents[2][1]["run_start"]
    found = read_external(assemble(documents), {}, {"X": lambda path, factor: lambda i: i})
    np.testing.assert_array_equal(found.streams["primary"].columns["img"], [0, 1, 2])


def test_more_values_than_a_scan_has_are_not_read(tmp_path):
    write(tmp_path / "f.h5", energy=E)
    record = flown(tmp_path / "f.h5", {"energy": (10**6,)}, blocks=((0, 1000),))
    assert "more values" in read_external(record).problems[0].detail


def test_csv_through_bluesky_consolidators(tmp_path):
    pytest.importorskip("tiled.adapters.csv")
    path = tmp_path / "f.csv"
    np.savetxt(path, E)
    record = flown(path, {"energy": (1,)})
    for external in record.external:
        external.resource["mimetype"] = "text/csv;header=absent"
        external.resource["parameters"] = {}
    found = read_external(record)
    assert found.problems == (), found.problems
    np.testing.assert_allclose(found.streams["primary"].columns["energy"], E)


@pytest.mark.parametrize(
    "start", [{"plan_name": "fly"}, {"plan_name": "fly", "element": "Fe", "edge": "K"}]
)
@pytest.mark.parametrize("lost", ["file", "documents"])
def test_an_energy_of_which_nothing_arrived_is_not_passed_over(start, lost):
    keys = {"mono_energy": (), "i0": (), "it": ()}
    drop = [] if lost == "file" else [(key, 0) for key in keys]
    found = identify(replace(flown("/no/such.h5", keys, drop=drop), start=start), BeamlineConfig())
    assert isinstance(found, Declined)
    assert found.flag.code == ("external_unread" if lost == "file" else "data_missing")
    elsewhere = {**start, "motors": ["sample_x"]}
    again = replace(flown("/no/such.h5", keys, drop=drop), start=elsewhere)
    assert identify(again, BeamlineConfig()) is None
