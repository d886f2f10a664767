"""Documents as bytes: JSON or msgpack, never pickle.

msgpack-numpy's own decoder unpickles arrays of objects, so a crafted message would run code; and
``msgpack_numpy.patch()``, which bluesky-kafka calls when it is imported, puts that decoder into
every ``msgpack.unpackb``. Messages are therefore unpacked here by msgpack's own, unpatched function
with a decoder that knows numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgpack
import numpy as np
import orjson

try:
    from msgpack._cmsgpack import unpackb as _unpackb
except ImportError:  # msgpack without its extension, on PyPy for one
    from msgpack.fallback import unpackb as _unpackb

Serializer = Literal["json", "msgpack"]

_MAX_BYTES = 512 * 1024 * 1024


def publisher_serializer(kind: Serializer) -> Callable[[Any], bytes]:
    """Return the function for ``bluesky.callbacks.zmq.Publisher(serializer=…)``.

    NaN and infinities become null in JSON and stay what they are in msgpack; both arrive as NaN in
    columns of numbers.
    """
    return {"json": to_json, "msgpack": to_msgpack}[kind]


def deserializer(kind: Serializer) -> Callable[[bytes], Any]:
    """Return the function that turns a message of `kind` into a document.

    It raises :class:`ValueError` for whatever is no such message, pickles included.
    """
    return {"json": from_json, "msgpack": from_msgpack}[kind]


def to_json(document: object) -> bytes:
    """Return a document as JSON; numpy values become numbers and lists, NaN becomes null."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(document, default=_plain, option=options)


def from_json(message: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return a document from JSON.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    return orjson.loads(message)


def to_msgpack(document: object) -> bytes:
    """Return a document as msgpack, arrays in the form of msgpack-numpy."""
    return bytes(msgpack.packb(document, default=_packed))


def from_msgpack(message: bytes) -> Any:  # noqa: ANN401 - msgpack
    """Return a document from msgpack; arrays of anything but numbers and text are refused.

    Raises
    ------
    ValueError
        If it is not msgpack, or holds an array of objects.
    """
    try:
        return _unpackb(
            message, object_hook=_unpacked, strict_map_key=False, max_bin_len=_MAX_BYTES
        )
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - malformed arrays raise KeyError, TypeError, …
        raise ValueError(f"not a msgpack document: {error!r:.200}") from None


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    return str(value)


def _packed(value: object) -> object:
    """Return an array in msgpack-numpy's form, anything else as plain data."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        kind, shape = b"", value.shape
        data = np.ascontiguousarray(value).tobytes()
        return {
            b"nd": True,
            b"type": value.dtype.str,
            b"kind": kind,
            b"shape": shape,
            b"data": data,
        }
    return _plain(value)


def _unpacked(value: dict[Any, Any]) -> object:
    """Return an array or number from msgpack-numpy's form, any other mapping as it is."""
    if b"nd" not in value or b"data" not in value:
        return value
    dtype = value.get(b"type")
    if value.get(b"kind") == b"O" or not isinstance(dtype, str | bytes):
        raise ValueError("an array of objects is a pickle: refused")
    found = np.dtype(dtype.decode() if isinstance(dtype, bytes) else dtype)
    if found.kind not in "biufcSU":
        raise ValueError(f"an array of {found} is refused")
    flat = np.frombuffer(value[b"data"], dtype=found)
    return flat.reshape(value[b"shape"]) if value[b"nd"] is True else flat[0]
