"""A Tiled server with raw runs as beamlines write them, shared by the tests of this folder."""

from __future__ import annotations

import contextlib
import warnings

import h5py
import numpy as np
import pytest

from tests import runs


@pytest.fixture(scope="session")
def tiled(tmp_path_factory):
    """A server of our own, and the folder whose files it may read."""
    pytest.importorskip("tiled.server")
    from xanes_live.service.tiled_server import TiledServer

    files = tmp_path_factory.mktemp("detector")
    with TiledServer(tmp_path_factory.mktemp("tiled"), readable=[files]) as server:
        server.files = files
        yield server


@contextlib.contextmanager
def client(server, key):
    """Open a container of raw runs and close the connection."""
    from tiled.client import from_uri

    with warnings.catch_warnings():
        # tiled's own imports warn of packages they could do without
        warnings.simplefilter("ignore")
        root = from_uri(server.uri, api_key=key)
    try:
        yield root["raw"]
    finally:
        root.context.close()


@pytest.fixture(scope="session")
def raw(tiled):
    """The raw runs as the service may read them."""
    with client(tiled, tiled.keys.service) as container:
        yield container


@pytest.fixture(scope="session")
def write(tiled):
    """Return a function that stores documents as a beamline does."""
    from bluesky_tiled_plugins import TiledWriter

    with client(tiled, tiled.keys.writer) as container:

        def store(documents, **options) -> str:
            writer = TiledWriter(container, **options)
            for name, document in documents:
                writer(name, document)
            return documents[0][1]["uid"]

        yield store


def flown(path, values, start, uri_path=None):
    """Return the documents of a fly scan whose values lie in an HDF5 file, and write the file."""
    import event_model

    with h5py.File(path, "w") as file:
        for key, column in values.items():
            file[key] = column
    run = event_model.compose_run(metadata=dict(start))
    keys = {
        key: {
            "source": "TEST",
            "dtype": "array" if column.ndim > 1 else "number",
            "dtype_numpy": "<f8",
            "shape": list(column.shape[1:]) or [1],
            "external": "STREAM:",
        }
        for key, column in values.items()
    }
    n = len(next(iter(values.values())))
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    for key, column in values.items():
        stack = {"join_method": "stack"} if column.ndim > 1 else {}
        bundle = run.compose_stream_resource(
            data_key=key,
            mimetype="application/x-hdf5",
            uri=f"file://localhost{uri_path or path}",
            parameters={"dataset": key, "chunk_shape": [n], **stack},
        )
        documents.append(("stream_resource", bundle.stream_resource_doc))
        datum = bundle.compose_stream_datum(
            indices={"start": 0, "stop": n}, seq_nums={"start": 1, "stop": n + 1}
        )
        descriptor = stream.descriptor_doc["uid"]
        documents.append(("stream_datum", {**datum, "descriptor": descriptor}))
    documents.append(("stop", {**run.compose_stop(), "num_events": {"primary": n}}))
    return documents


@pytest.fixture(scope="session")
def archived(tiled, write):
    """Documents of runs that are in Tiled, by kind."""
    energy = 7112.0 + runs.GRID[::2]
    values = {"energy": energy, **runs.readings(energy)}
    sweep = 7112.0 + np.linspace(-60, 120, 60)
    sweeps = [runs.readings(sweep, seed=k) for k in range(4)]
    fluorescence = np.array([values[f"f{k}"] for k in range(4)]).T
    hole = {**values, "it": np.where(np.arange(len(energy)) == 7, np.nan, values["it"])}
    flying = {"energy": energy, "i0": values["i0"], "sdd": fluorescence}
    kinds = {
        "step": runs.documents(
            {k: hole[k] for k in ("energy", "i0", "it")},
            {**runs.FE, "sample": "FeO", "scan_id": 11, "time": 1000.0},
            before=[("baseline", {"temperature": [300.0, 301.0]})],
        ),
        "pages": runs.documents(
            {k: values[k] for k in ("energy", "i0", "it")},
            {**runs.FE, "batch": "5", "scan_id": 12, "time": 2000.0},
            pages=3,
        ),
        "short arrays": runs.documents(
            {"energy": energy, "i0": values["i0"], "sdd": fluorescence},
            {**runs.FE, "batch": 5, "scan_id": 13, "time": 3000.0},
        ),
        "sweeps": runs.documents(
            {"energy": [sweep] * 4, **{k: [s[k] for s in sweeps] for k in ("i0", "it")}},
            {**runs.FE, "scan_id": 14, "time": 4000.0},
        ),
        "files": flown(tiled.files / "fly.h5", flying, {**runs.FE, "scan_id": 15}),
        "motor": runs.documents({"x": np.arange(5.0)}, {"plan_name": "scan", "time": 6000.0}),
    }
    for documents in kinds.values():
        write(documents)
    return kinds
