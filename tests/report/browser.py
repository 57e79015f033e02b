"""A headless Chromium driven over its DevTools protocol: what a page requests, what it complains about, what it answers."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import websocket_connect

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
)


class Visit:
    """What happened while a page was open."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.answers: list[Any] = []


def visit(page: Path, questions: Sequence[str], *, screenshot: Path | None = None) -> Visit:
    """Open a page, wait until Bokeh has drawn it, and evaluate expressions one after another."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [
                CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--remote-debugging-port=0", "--window-size=1300,1400", f"--user-data-dir={profile}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
        )  # fmt: skip
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if b"DevTools listening on" in line:
                    break
            host = line.split(b"//")[1].split(b"/")[0].decode()
            with closing(HTTPConnection(host)) as connection:
                connection.request("GET", "/json/list")
                target = next(t for t in json.load(connection.getresponse()) if t["type"] == "page")
            return asyncio.run(_talk(target["webSocketDebuggerUrl"], page, questions, screenshot))
        finally:
            # Its helpers too, which write to the profile: when the last has gone there is nothing more to read.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


async def _talk(url: str, page: Path, questions: Sequence[str], screenshot: Path | None) -> Visit:
    found = Visit()
    socket = await websocket_connect(url, max_message_size=1 << 27)
    number = 0

    def heard(event: dict[str, Any]) -> None:
        method, body = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            found.requests.append(body["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            found.complaints.append(str(body["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and body["type"] in ("error", "warning", "assert"):
            found.complaints.append(str(body["args"]))
        elif method == "Log.entryAdded" and body["entry"]["level"] in ("error", "warning"):
            found.complaints.append(body["entry"]["text"])

    async def call(method: str, **params: Any) -> Any:
        nonlocal number
        number += 1
        await socket.write_message(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = await socket.read_message()
            assert message is not None, "the browser has gone"
            event = json.loads(message)
            if event.get("id") == number:
                return event.get("result")
            heard(event)

    async def evaluate(expression: str) -> Any:
        result = await call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    for domain in ("Network", "Runtime", "Log", "Page"):
        await call(f"{domain}.enable")
    await call("Page.navigate", url=page.as_uri())
    drawn = """new Promise(done => {
        const look = () => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle
            && document.readyState === "complete" ? done(true) : setTimeout(look, 50);
        look();
    })"""
    assert await evaluate(drawn)
    for question in questions:
        found.answers.append(await evaluate(question))
    if screenshot is not None:
        shot = await call("Page.captureScreenshot", format="png")
        screenshot.write_bytes(base64.b64decode(shot["data"]))
    socket.close()
    while await socket.read_message() is not None:
        pass  # until the connection is closed at both ends
    return found
