from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zmq

from xanes_live.demo.wire import DocumentPublisher
from xanes_live.documents.wire import deserializer

DOCUMENT = {"uid": "a", "data": {"energy": np.float64(7112.0), "down": np.arange(3.0)[::-1]}}


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
    document = deserializer(serializer)(payload)
    assert document["uid"] == "a"
    np.testing.assert_array_equal(document["data"]["down"], [2.0, 1.0, 0.0])


def test_without_a_proxy_nothing_hangs() -> None:
    publisher = DocumentPublisher("127.0.0.1:1")
    assert not publisher.wait_connected(0.2)
    publisher("start", DOCUMENT)
    began = time.monotonic()
    publisher.close()
    assert time.monotonic() - began < 5.0
