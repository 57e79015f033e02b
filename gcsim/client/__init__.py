"""The Python client: `Client` for scripts and notebooks, `AsyncClient` for event loops.

with Client("127.0.0.1:7677") as client:
    frame = client.submit("workloads/cache-service.yaml").result().tables["pauses"].to_pandas()
"""

from gcsim.client.aio import AsyncClient, AsyncRun
from gcsim.client.errors import RunFailedError, ServerUnreachableError, ServiceError
from gcsim.client.sync import Client, SubmittedRun

__all__ = [
    "AsyncClient",
    "AsyncRun",
    "Client",
    "RunFailedError",
    "ServerUnreachableError",
    "ServiceError",
    "SubmittedRun",
]
