"""A local server that speaks OpenAI's chat completions, as well or as badly as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[dict[str, Any]], Any]


class Misbehaving(BaseHTTPRequestHandler):
    """One request: `says` gives an answer's content, a list of tool calls, a status code, raw bytes, or "stall"."""

    says: Says
    asked: list[dict[str, Any]]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        """Answer as told."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        said = type(self).says(request)
        if said == "stall":
            time.sleep(3)
            said = {}
        if isinstance(said, int):
            self._send(said, b'{"error": {"message": "not now"}}')
        elif isinstance(said, bytes):
            self._send(200, said)
        else:
            self._send(200, json.dumps(completion(said)).encode())

    def _send(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # who asked has gone


def completion(said: Any) -> dict[str, Any]:
    """An answer in OpenAI's form: a dict is the form filled in, a list are tool calls."""
    message: dict[str, Any] = {"role": "assistant", "content": json.dumps(said)}
    if isinstance(said, list):
        calls = [
            {
                "id": f"c{n}",
                "type": "function",
                "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])},
            }
            for n, c in enumerate(said)
        ]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if isinstance(said, list) else "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "local", "choices": [choice], "usage": usage}


@contextmanager
def serving(says: Says) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that says this, and what it was asked so far."""
    asked: list[dict[str, Any]] = []
    handler = type("Handler", (Misbehaving,), {"says": staticmethod(says), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
