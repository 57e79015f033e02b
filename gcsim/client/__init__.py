"""The Python client: `Client` for scripts and notebooks, `AsyncClient` for event loops.

with Client("127.0.0.1:7677") as client:
    frame = client.submit("workloads/cache-service.yaml").result().tables["pauses"].to_pandas()
    points = client.submit_sweep("workloads/cache-service.yaml", ["gogc=50,100,200"]).result().points
"""

from gcsim.client.aio import AsyncClient, AsyncRun
from gcsim.client.errors import RunFailedError, ServerUnreachableError, ServiceError
from gcsim.client.sweeps import AsyncSweep
from gcsim.client.sync import Client, SubmittedRun, SubmittedSweep

__all__ = [
    "AsyncClient",
    "AsyncRun",
    "AsyncSweep",
    "Client",
    "RunFailedError",
    "ServerUnreachableError",
    "ServiceError",
    "SubmittedRun",
    "SubmittedSweep",
]
