"""Vendors' token endpoints on loopback: they count who comes, and give numbered tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass
class TokenServer:
    """What the endpoint saw, and what it answers.

    Attributes:
        lifetime: Seconds that its tokens are good for.
        status: Of its answers; not 200: it refuses, and quotes what it was sent.
    """

    url: str = ""
    lifetime: int = 3600
    status: int = 200
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, form: dict[str, list[str]]) -> bytes:
        self.asked.append(form)
        if self.status != 200:
            return json.dumps({"error": "invalid_grant", "error_description": f"no: {form}"}).encode()
        token = {"access_token": f"token-{len(self.asked)}", "expires_in": self.lifetime, "token_type": "Bearer"}
        return json.dumps(token).encode()


@contextmanager
def running_token_server() -> Iterator[TokenServer]:
    """An OAuth token endpoint."""
    state = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            body = state.answer(form)
            self.send_response(state.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def service_account(folder: Path, token_url: str) -> Path:
    """The key file of a service account whose tokens come from `token_url`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    path = folder / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "example",
                "private_key_id": "1",
                "private_key": pem,
                "client_email": "worker@example.test",
                "client_id": "1",
                "token_uri": token_url,
                "universe_domain": "googleapis.com",
            }
        ),
        encoding="utf-8",
    )
    return path
