"""A model hub on this machine: the few answers that huggingface_hub's downloads ask for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40


@contextmanager
def hub(models: dict[str, Path], damaged: str = "") -> Iterator[str]:
    """Serves folders as models of the revision main by their ids; yields the address. A file named `damaged` is sent with a
    byte that has changed on the way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def _answer(self, whole: bool) -> None:
            path = self.path.partition("?")[0]
            for model, folder in models.items():
                files = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
                if path.startswith(tuple(f"/api/models/{model}/tree/{revision}/" for revision in ("main", COMMIT))):
                    return self._lacks()
                if path.startswith(f"/api/models/{model}/"):
                    if not path.endswith(("/main", f"/{COMMIT}")):
                        return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
                    if "/tree/" in path:
                        entries = [
                            {"type": "file", "path": file, "size": (folder / file).stat().st_size, "oid": "0" * 40}
                            for file in files
                        ]
                        return self._send(200, json.dumps(entries).encode(), {})
                    facts = {"id": model, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
                    return self._send(200, json.dumps(facts).encode(), {})
                for file in files:
                    if path in (f"/{model}/resolve/{COMMIT}/{file}", f"/{model}/resolve/main/{file}"):
                        return self._send_file(folder / file, whole)
                if path.startswith(f"/{model}/resolve/"):
                    return self._lacks()
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

        def _lacks(self) -> None:
            """Of what transformers looks for in any repository, such as templates of chats."""
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

        def _send_file(self, file: Path, whole: bool) -> None:
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if file.name == damaged:
                data = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
            large = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest[:40]}"'}
            self._send(200, data, headers | (large if file.suffix == ".safetensors" else {}), whole)

        def _send(self, status: int, data: bytes, headers: dict[str, str], whole: bool = True) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if whole and self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
