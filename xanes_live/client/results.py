"""Finding published results."""
# ruff: noqa: ANN401  the Tiled client has no type information

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from xanes_live.client.watch import Watch
from xanes_live.publish.names import children_of
from xanes_live.publish.tiled import faults, open_uri, walk

if TYPE_CHECKING:
    import xarray as xr

RESULTS = "sandbox/xanes_live"


@dataclass(frozen=True, eq=False)
class Published:
    """One published result: its document, and its arrays when asked for."""

    key: str
    """Name of the node in Tiled."""
    metadata: Mapping[str, Any]
    """The document."""
    _container: Any

    @property
    def node(self) -> Any:
        """Tiled's own client of the node (one request)."""
        with faults():
            return self._container[self.key]

    def __getitem__(self, name: str) -> Any:
        """Return Tiled's client of one array; raises KeyError if there is none."""
        renamed = self.metadata.get("array_names") or {}
        with faults():
            return self._container[self.key, renamed.get(name, name)]

    def __contains__(self, name: object) -> bool:
        """Whether there is an array of that name."""
        return name in self.keys()

    def keys(self) -> list[str]:
        """Return the names of the arrays (one request)."""
        node = self.node
        with faults():
            return list(children_of(self.metadata, list(node)))

    def dataset(self) -> xr.Dataset:
        """Return everything numerical with units."""
        from xanes_live.client.dataset import dataset

        return dataset(self)


class Results:
    """The container of published results; made by :func:`connect`.

    Only complete results are returned, the last published first. Every method raises
    `UnreachableError` (a `ConnectionError`) or `RefusedError` (a `PermissionError`) of
    :mod:`xanes_live.publish.remote` when Tiled is away or refuses the key.
    """

    def __init__(self, root: Any, path: str) -> None:
        self._root, self._path = root, path
        self._found: Any | None = None

    @property
    def container(self) -> Any | None:
        """Tiled's client of the container; None as long as nothing was ever published."""
        if self._found is None:
            self._found = walk(self._root, self._path)
        return self._found

    @property
    def path(self) -> str:
        """Where in Tiled the results are."""
        return self._path

    def latest(self, n: int = 1) -> list[Published]:
        """Return the `n` results published last, declined scans included."""
        return list(islice(self._newest(self.container), n))

    def for_run(self, uid: str) -> list[Published]:
        """Return what was published of the run `uid`; one for each model and configuration."""
        return self._where({"raw_uid": uid})

    def get(self, key: str) -> Published:
        """Return the result of that key.

        Raises
        ------
        KeyError
            If there is none.
        """
        if self.container is None:
            raise KeyError(key)
        with faults():
            node = self.container[key]
        return Published(key, node.metadata, self.container)

    def search(
        self,
        *,
        sample: str | None = None,
        element: str | None = None,
        confidence: str | None = None,
        flag: str | None = None,
        model: str | None = None,
        since: float | datetime | None = None,
        limit: int | None = None,
    ) -> list[Published]:
        """Return results that meet all conditions given.

        Parameters
        ----------
        sample, element
            Exactly as in the document.
        confidence
            'green', 'amber' or 'red'.
        flag
            A flag's code; of a run of many spectra any may have it.
        model
            Id of the model, or `id@version`.
        since
            Start of the run, s since the epoch or a datetime.
        limit
            At most so many, the last published.
        """
        name, _, version = (model or "").partition("@")
        equal = {
            "sample": sample,
            "element": element,
            "confidence": confidence,
            "model.id": name or None,
            "model.version": version or None,
        }
        start = since.timestamp() if isinstance(since, datetime) else since
        return self._where(equal, flag, start, limit)

    def watch(self, callback: Callable[[Published], object], **options: float) -> Watch:
        """Call `callback` with each result that becomes complete from now on, once for each key.

        A result that takes the place of an earlier one of its key is delivered, too.
        It is called on a thread of the watch and should be quick; what it raises is logged. An
        interrupted connection is taken up again and what was missed delivered. Ends with
        :meth:`Watch.close`.

        Parameters
        ----------
        callback
            Takes one :class:`Published`.
        **options
            Further arguments of :class:`Watch`.
        """

        def deliver(key: str, metadata: Mapping[str, Any]) -> None:
            callback(Published(key, metadata, self.container))

        return Watch(lambda: self.container, deliver, **options).start()

    def dataset(self, result: Published | str) -> xr.Dataset:
        """Return everything numerical of one result (or of a key) with units."""
        found = self.get(result) if isinstance(result, str) else result
        return found.dataset()

    def close(self) -> None:
        """Close the connections to Tiled; watches are closed by themselves."""
        self._root.context.http_client.close()

    def __enter__(self) -> Self:
        """Return the results."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _where(
        self,
        equal: Mapping[str, object],
        flag: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[Published]:
        from tiled.queries import Comparison, Contains, Key

        found = self.container
        if found is None:
            return []
        for key, value in equal.items():
            if value is not None:
                found = found.search(Key(key) == value)
        if flag is not None:
            found = found.search(Contains("flag_codes", f'"{flag}"'))
        if since is not None:
            found = found.search(Comparison("ge", "time", since))
        matching = (p for p in self._newest(found) if flag is None or _has(p, flag))
        return list(islice(matching, limit))

    def _newest(self, container: Any) -> Iterator[Published]:
        if container is None:
            return
        with faults():
            for key, node in container.items()[::-1]:
                if node.metadata.get("status") == "complete":
                    yield Published(key, node.metadata, self.container)


def _has(result: Published, flag: str) -> bool:
    """Whether the flag is there to the letter (on the server '_' stands for any character)."""
    return flag in result.metadata.get("flag_codes", ())


def connect(
    uri: str, api_key: str | None = None, path: str = RESULTS, timeout_s: float = 10.0
) -> Results:
    """Connect to the results on a Tiled server.

    Parameters
    ----------
    uri
        Address of the server.
    api_key
        A key that may read; None uses TILED_API_KEY or a login that Tiled remembers.
    path
        Container of the results, `results_path` of the service's configuration.
    timeout_s
        After which a request counts as failed.

    Raises
    ------
    UnreachableError, RefusedError
        If the server does not answer or refuses the key.
    """
    return Results(open_uri(uri, api_key, timeout_s), path)
