"""Serves the page on this computer, to this computer."""

import os
import sys
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bnnup.errors import reason
from bnnup.web.page import PageError

LOOPBACK = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, fresh after each installation; nothing is logged."""

    # What a system's own table of types may lack or have wrong, and browsers insist on.
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
        ".webmanifest": "application/manifest+json",
        ".gz": "application/octet-stream",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    allow_reuse_address = os.name != "nt"  # there, another program's port would be shared

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a file, as closed tabs do, is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(folder: Path, port: int, started: Callable[[str], None]) -> None:
    """Serves a folder's files on the loopback address until it is interrupted.

    ``port`` 0 takes any free one. ``started`` is told the page's address. Raises PageError
    if the port cannot be had.
    """
    try:
        server = Server((LOOPBACK, port), partial(Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise PageError(f"cannot serve on port {port}: {reason(error)}", hint="port") from error
    with server:
        started(f"http://{LOOPBACK}:{server.server_port}/")
        server.serve_forever()
