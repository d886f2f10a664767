from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import msgpack
import msgpack_numpy
import numpy as np
import pytest
import zmq

from xanes_live.demo.wire import SERIALIZERS, DocumentPublisher, to_json, to_msgpack

DOCUMENT = {
    "uid": "a",
    "data": {
        "scalar": np.float64(1.5),
        "integer": np.int64(3),
        "missing": float("nan"),
        "down": np.arange(3.0)[::-1],
        "image": np.array([[1.0, np.inf], [3.0, 4.0]]),
    },
    "hints": {"dimensions": [(["energy"], "primary")]},
}


def test_json_is_plain_json() -> None:
    assert json.loads(to_json(DOCUMENT)) == {
        "uid": "a",
        "data": {
            "scalar": 1.5,
            "integer": 3,
            "missing": None,
            "down": [2.0, 1.0, 0.0],
            "image": [[1.0, None], [3.0, 4.0]],
        },
        "hints": {"dimensions": [[["energy"], "primary"]]},
    }


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError):
        to_json({"data": {1, 2}})


def test_msgpack_keeps_arrays() -> None:
    back = msgpack.unpackb(to_msgpack(DOCUMENT), object_hook=msgpack_numpy.decode)
    np.testing.assert_array_equal(back["data"]["down"], [2.0, 1.0, 0.0])
    assert back["data"]["integer"] == 3
    assert np.isnan(back["data"]["missing"])


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_the_first_document_arrives(serializer) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as proxy, ThreadPoolExecutor() as pool:
        proxy.setsockopt(zmq.SUBSCRIBE, b"")
        proxy.setsockopt(zmq.RCVTIMEO, 10_000)
        port = proxy.bind_to_random_port("tcp://127.0.0.1")
        received = pool.submit(proxy.recv)  # a socket subscribes only while it is being used
        publisher = DocumentPublisher(f"127.0.0.1:{port}", serializer)
        try:
            assert publisher.wait_connected(5.0)
            publisher("start", DOCUMENT)
            prefix, name, payload = received.result().split(b" ", 2)
        finally:
            publisher.close()
    assert (prefix, name) == (b"", b"start")
    assert payload == SERIALIZERS[serializer](DOCUMENT)


def test_without_a_proxy_nothing_hangs() -> None:
    publisher = DocumentPublisher("127.0.0.1:1")
    assert not publisher.wait_connected(0.2)
    publisher("start", DOCUMENT)
    began = time.monotonic()
    publisher.close()
    assert time.monotonic() - began < 5.0
