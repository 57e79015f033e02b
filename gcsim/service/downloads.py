"""DatasetService: the calls about results."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from gcsim.api.v1 import dataset_service_pb2 as api
from gcsim.datasets.archive import Archive
from gcsim.errors import DatasetError
from gcsim.service.core import Core
from gcsim.service.resources import dataset_message, id_of, page_size, page_token, parse_page_token
from gcsim.service.status import NotReadyError, OffsetError
from gcsim.sweep.states import RunState, StoredDataset


class Datasets:
    """Implements gcsim.api.v1.DatasetService; methods have the names of the calls."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store

    async def ListDatasets(self, request: api.ListDatasetsRequest) -> api.ListDatasetsResponse:  # noqa: N802
        size = page_size(request.page_size)
        after = parse_page_token(request.page_token, str) or ""
        rows = await self._core.look(lambda: self._store.datasets(after_id=after, limit=size + 1))
        page = rows[:size]
        whole = await self._core.read_file(
            lambda: [row for row in page if self._store.usable_dataset(row.id) is not None]
        )
        return api.ListDatasetsResponse(
            datasets=[dataset_message(row) for row in whole],
            next_page_token=page_token(page[-1].id) if len(rows) > size else "",
        )

    async def DownloadDataset(  # noqa: N802
        self, request: api.DownloadDatasetRequest
    ) -> AsyncIterator[api.DownloadDatasetResponse]:
        dataset = await self._core.look(lambda: self._dataset(request.name))
        offset = request.read_offset
        if not 0 <= offset <= dataset.size_bytes:
            raise OffsetError(f"read_offset {offset} is outside the archive of {dataset.size_bytes} bytes")
        archive = await self._core.read_file(lambda: Archive(self._store.dataset_path(dataset.id)))
        if archive.size_bytes != dataset.size_bytes:
            raise DatasetError(f"the dataset {dataset.id} has changed on the server's disk")
        yield api.DownloadDatasetResponse(
            header=api.DownloadHeader(
                size_bytes=dataset.size_bytes,
                sha256=dataset.sha256,
                schema_version=dataset.schema_version,
                dataset=f"datasets/{dataset.id}",
            )
        )
        # Each file is compared with the manifest; the manifest itself with what was stored, where all of it passes by.
        digest = hashlib.sha256() if offset == 0 else None

        def read(at: int) -> bytes:
            data = archive.read(at)
            if digest is not None:
                digest.update(data)
            return data

        while offset < dataset.size_bytes:
            data = await self._core.read_file(lambda at=offset: read(at))  # type: ignore[misc]
            yield api.DownloadDatasetResponse(chunk=api.DownloadChunk(offset=offset, data=data))
            offset += len(data)
        if digest is not None and digest.hexdigest() != dataset.sha256:
            raise DatasetError(f"the dataset {dataset.id} has changed on the server's disk")

    def _dataset(self, name: str) -> StoredDataset:
        collection, given = id_of(name, "datasets", "runs")
        if collection == "datasets":
            return self._store.dataset(given)
        run = self._store.get(given)
        if run.state is not RunState.SUCCEEDED:
            raise NotReadyError(f"the run {given!r} is {run.state} and has no result")
        return self._store.dataset(run.dataset_id)
