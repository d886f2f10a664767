"""Walking an archive: a Tiled server, a databroker catalogue, or a databroker v1 Broker."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from xanes_live.config import TiledConfig
from xanes_live.documents.assembly import Document
from xanes_live.documents.callback import assemble
from xanes_live.documents.columnwise import from_columns
from xanes_live.documents.complete import through_tiled, unanswered, unreachable
from xanes_live.documents.external import read_external, wanted
from xanes_live.documents.run import RunRecord, Stream
from xanes_live.errors import ConfigurationError, MissingDependencyError, ReadError

_FULL_UID = 36
_BROKER = "databroker:"
_IN_PROCESS = "local-tiled-app"
"""Host in Tiled's address of an app that it runs itself; it leads nowhere."""
_SECRET = re.compile(r"(api_key=|://[^/@\s]*:)[^&@\s'\"]+")


@dataclass(frozen=True, slots=True)
class ArchiveRun:
    """One run of an archive."""

    uid: str
    start: Mapping[str, Any]
    """The start document."""
    source: Any
    """Client of the run, or databroker header."""

    @property
    def place(self) -> tuple[str, tuple[str, ...]] | None:
        """Address of the Tiled server that has the run, and the path there.

        None where no server has it: behind databroker v1, or in a catalogue that was opened inside
        this process.
        """
        context = getattr(self.source, "context", None)
        uri = str(getattr(context, "api_uri", ""))
        if not uri or urlsplit(uri).hostname == _IN_PROCESS:
            return None
        return uri, tuple(map(str, self.source.path_parts))

    def documents(self) -> Iterator[tuple[str, Document]]:
        """Yield the run's documents, values that lie in files filled in where they can be read.

        Where the archive does not give out documents they are made from its columns.

        Raises
        ------
        ConnectionError
            If the archive cannot be reached.
        ReadError
            If the run cannot be read.
        """
        try:
            found = list(raw_documents(self.source))
        except Exception as error:  # noqa: BLE001 - archives fail in many ways
            found = self._made_up(error)
        record = assemble(found)
        if record is not None and any(wanted(record, e) for e in record.external):
            record = self._filled(record)
            if all(e.kind == "stream_resource" for e in record.external):
                found = list(documents_of(record))
        yield from found

    def record(self) -> RunRecord:
        """Return the run as one record; raises as :meth:`documents`."""
        record = assemble(self.documents())
        if record is None:
            raise ReadError(f"run {self.uid}: no documents")
        return record

    def _made_up(self, error: Exception) -> list[tuple[str, Document]]:
        """Make documents from the columns of the run, whose own could not be had for `error`."""
        try:
            if not unanswered(error) and hasattr(self.source, "metadata"):
                return list(documents_of(from_columns(self.source)))
        except Exception as second:  # noqa: BLE001 - archives fail in many ways
            error = second
        if unreachable(error):
            raise ConnectionError(f"archive: {error!r:.300}") from error
        raise ReadError(f"run {self.uid}: {error!r:.300}") from error

    def _filled(self, record: RunRecord) -> RunRecord:
        """Fill in what lies in files: read here, through the server, or by the archive itself."""
        record = read_external(record)
        if hasattr(self.source, "metadata"):
            record = through_tiled(record, self.source)
        if any(wanted(record, e) for e in record.external):
            try:
                filled = assemble(raw_documents(self.source, fill=True))
            except Exception:  # noqa: BLE001 - most archives cannot, the problems say what is missing
                return record
            if filled is not None and len(filled.external) < len(record.external):
                return filled
        return record


class Archive:
    """A collection of runs.

    Parameters
    ----------
    catalog
        Tiled client of a container of runs, databroker v2 catalogue, or databroker v1 ``Broker``.
    """

    def __init__(self, catalog: Any) -> None:  # noqa: ANN401 - no types in these libraries
        # databroker 2's v1 interface gives out no events of runs in SQL-backed Tiled
        underlying = getattr(catalog, "v2", None) if not hasattr(catalog, "search") else None
        self.catalog = underlying if hasattr(underlying, "structure_clients") else catalog

    def runs(
        self,
        *,
        uids: Iterable[str] = (),
        since: float | None = None,
        until: float | None = None,
        search: Mapping[str, object] | None = None,
    ) -> Iterator[ArchiveRun]:
        """Yield the runs that meet all conditions, each once.

        Parameters
        ----------
        uids
            Only these; the first characters of a uid will do.
        since, until
            Only runs that started in this half-open interval, s since the epoch.
        search
            Values the start document must have by key ('sample', 'sample.name'); '5' also finds
            the number 5.

        Raises
        ------
        ConnectionError
            If the archive cannot be reached.
        """
        seen: set[str] = set()
        finder = _of_catalog if hasattr(self.catalog, "search") else _of_broker
        try:
            for found in finder(self.catalog, tuple(uids), since, until, dict(search or {})):
                start = _start_of(found)
                uid = start.get("uid")
                if isinstance(uid, str) and uid not in seen:
                    seen.add(uid)
                    yield ArchiveRun(uid, start, found)
        except Exception as error:
            if unreachable(error):
                raise ConnectionError(f"archive: {error!r:.300}") from error
            raise


def open_archive(
    where: Any,  # noqa: ANN401 - no types in these libraries
    tiled: TiledConfig | None = None,
    api_key: str | None = None,
) -> Archive:
    """Open an archive.

    Parameters
    ----------
    where
        Address of a Tiled server or of a container on one, name of a Tiled profile (as
        ``databroker.catalog`` uses), 'databroker:NAME' for ``Broker.named(NAME)``, or an opened
        catalogue or Broker.
    tiled
        Its `raw_path` is entered where `where` is the root of a server.
    api_key
        Key for a server given by address; with `tiled` it is sent to that server only, any other
        gets what Tiled's own client knows of it (TILED_API_KEY, a login).

    Raises
    ------
    ConfigurationError
        If there is no such profile, or nothing of that name on the server.
    ConnectionError
        If the server cannot be reached.
    MissingDependencyError
        If databroker is wanted and not installed.
    """
    if not isinstance(where, str):
        return Archive(where)
    if where.startswith(_BROKER):
        return Archive(_broker(where.removeprefix(_BROKER)))
    from tiled.client import from_profile, from_uri  # noqa: PLC0415 - half a second

    raw_path = tiled.raw_path if tiled is not None else "raw"
    try:
        if "://" in where:
            ours = tiled is None or urlsplit(where).netloc == urlsplit(tiled.uri).netloc
            client = from_uri(where, api_key=api_key if ours else None)
            return Archive(_opened(client, raw_path) if _is_root(where) else client)
        client = from_profile(where)
    except Exception as error:
        if unreachable(error):
            raise ConnectionError(_told(where, error)) from error
        raise ConfigurationError(f"archive {_told(where, error)}") from error
    try:
        return Archive(_entered(client, raw_path))
    except Exception as error:  # a profile may be of the runs themselves
        if unreachable(error):
            raise ConnectionError(_told(where, error)) from error
        return Archive(client)


def _told(where: str, error: Exception) -> str:
    """Say what went wrong with an archive, without the password or key its address may hold."""
    parts = urlsplit(where)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    text = _SECRET.sub(r"\1…", f"{error!r}".replace(where, shown))
    return f"{shown if '://' in where else where}: {text:.300}"


def _broker(name: str) -> Any:  # noqa: ANN401 - no types in these libraries
    try:
        from databroker import Broker  # noqa: PLC0415 - an optional extra
    except ImportError:
        purpose = "an archive behind databroker"
        raise MissingDependencyError("databroker", "databroker", purpose) from None
    try:
        return Broker.named(name)
    except Exception as error:
        if unreachable(error):
            raise ConnectionError(f"databroker {name!r}: {error!r:.300}") from error
        raise ConfigurationError(f"databroker {name!r}: {error!r:.300}") from error


def raw_documents(run: Any, *, fill: bool = False) -> Iterator[tuple[str, Document]]:  # noqa: ANN401
    """Yield the documents of a run client or header, whatever its `documents` takes.

    databroker 1.2 insists on `fill`, SQL-backed Tiled refuses anything but False.
    """
    documents = getattr(run, "documents", None) or run.canonical
    try:
        found = documents(fill=fill)
    except TypeError:
        found = documents()
    for name, document in found:
        yield str(name), dict(document)


def documents_of(record: RunRecord) -> Iterator[tuple[str, Document]]:
    """Yield documents that assemble to `record`: one page of events a stream.

    References to files that are left must be of the kind stream_resource.
    """
    if record.start is not None:
        yield "start", record.start
    for name, stream in record.streams.items():
        uid = _descriptor_uid(record, name)
        known = stream.descriptors[0] if stream.descriptors else {}
        keys = {**known.get("data_keys", {})}
        for key in stream.columns:
            keys[key] = {k: v for k, v in keys.get(key, {}).items() if k != "external"}
        named = {"uid": uid, "run_start": record.uid, "name": name, "data_keys": keys}
        yield "descriptor", {**known, **named}
        yield "event_page", _page(uid, stream)
    for external in record.external:
        if external.resource:
            yield "stream_resource", external.resource
        uid = _descriptor_uid(record, external.stream)
        yield from (("stream_datum", {**datum, "descriptor": uid}) for datum in external.datums)
    if record.stop:
        yield "stop", {**record.stop, "run_start": record.uid}


def _descriptor_uid(record: RunRecord, stream: str) -> str:
    return f"{record.uid}/{stream}"


def _page(uid: str, stream: Stream) -> dict[str, Any]:
    return {
        "descriptor": uid,
        "seq_num": stream.seq_num.tolist(),
        "time": np.nan_to_num(stream.time).tolist(),
        "data": dict(stream.columns),
    }


def _of_catalog(
    catalog: Any,  # noqa: ANN401 - no types in these libraries
    uids: tuple[str, ...],
    since: float | None,
    until: float | None,
    search: Mapping[str, object],
) -> Iterator[Any]:
    from tiled.queries import Comparison, Key, Like  # noqa: PLC0415 - not for a Broker

    found = catalog
    if since is not None:
        found = found.search(Comparison("ge", "start.time", since))
    if until is not None:
        found = found.search(Comparison("lt", "start.time", until))
    for choice in itertools.product(*(_typed(value) for value in search.values())):
        narrowed = found
        for key, value in zip(search, choice, strict=True):
            path = key if key.startswith(("start.", "stop.")) else f"start.{key}"
            narrowed = narrowed.search(Key(path) == value)
        for uid in uids or (None,):
            if uid is None:
                yield from narrowed.values()
            elif len(uid) >= _FULL_UID:
                yield from narrowed.search(Key("start.uid") == uid).values()
            else:
                yield from narrowed.search(Like("start.uid", f"{uid}%")).values()


def _of_broker(
    broker: Any,  # noqa: ANN401 - no types in these libraries
    uids: tuple[str, ...],
    since: float | None,
    until: float | None,
    search: Mapping[str, object],
) -> Iterator[Any]:
    limits = {k: v for k, v in (("since", since), ("until", until)) if v is not None}
    for choice in itertools.product(*(_typed(value) for value in search.values())):
        query = dict(zip(search, choice, strict=True))
        for header in broker(**limits, **query):
            if not uids or str(_start_of(header).get("uid", "")).startswith(uids):
                yield header


def _typed(value: object) -> tuple[object, ...]:
    """Return the values a word of the command line may mean."""
    if not isinstance(value, str):
        return (value,)
    for convert in (int, float):
        try:
            return (value, convert(value))
        except ValueError:
            continue
    return (value,)


def _start_of(run: Any) -> Mapping[str, Any]:  # noqa: ANN401 - no types in these libraries
    metadata = getattr(run, "metadata", None)
    start = metadata.get("start") if isinstance(metadata, Mapping) else None
    if start is None:
        start = getattr(run, "start", None)
    return start if isinstance(start, Mapping) else {}


def _is_root(uri: str) -> bool:
    return urlsplit(uri).path.strip("/") in ("", "api", "api/v1", "api/v1/metadata")


def _opened(client: Any, path: str) -> Any:  # noqa: ANN401 - no types in these libraries
    """Return the container at `path`; close the connection if there is none."""
    try:
        return _entered(client, path)
    except Exception:
        client.context.close()
        raise


def _entered(client: Any, path: str) -> Any:  # noqa: ANN401 - no types in these libraries
    """Return the container at `path`; a catalogue of runs itself is left as it is."""
    specs = {getattr(spec, "name", spec) for spec in getattr(client, "specs", None) or ()}
    if "CatalogOfBlueskyRuns" in specs or not path:
        return client
    for part in path.strip("/").split("/"):
        client = client[part]
    return client
