"""TLS and mutual TLS, with certificates made for the test."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from gcsim.client import AsyncClient, ServerUnreachableError
from gcsim.client.aio import Access
from gcsim.service.core import ServerOptions
from gcsim.service.server import Server

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities (ca, other), a server's certificate of the first and a client's of each."""
    directory = tmp_path_factory.mktemp("pems")
    (directory / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "other"):
        openssl(directory, "req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}")  # fmt: skip
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl(
            directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        openssl(
            directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "extensions",
        )  # fmt: skip
    return directory


@pytest.mark.parametrize(
    ("mutual", "access", "lets_in"),
    [
        (False, {"ca": "ca.pem"}, True),
        (False, {"ca": "other.pem"}, False),
        (False, {}, False),
        (True, {"ca": "ca.pem"}, False),
        (True, {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}, True),
        (True, {"ca": "ca.pem", "cert": "stranger.pem", "key": "stranger.key"}, False),
    ],
)
def test_who_is_let_in(
    tmp_path: Path, pems: Path, mutual: bool, access: dict[str, str], lets_in: bool
) -> None:
    async def main() -> None:
        options = ServerOptions(
            data_dir=tmp_path,
            listen="127.0.0.1:0",
            workers=0,
            tls_cert=pems / "server.pem",
            tls_key=pems / "server.key",
            client_ca=pems / "ca.pem" if mutual else None,
        )
        given = {name: pems / file for name, file in access.items()}
        async with (
            Server(options) as server,
            AsyncClient(server.address, Access(retries=0, **given)) as client,  # type: ignore[arg-type]
        ):
            if lets_in:
                assert await client.runs() == []
            else:
                with pytest.raises(ServerUnreachableError):
                    await client.runs()

    asyncio.run(main())
