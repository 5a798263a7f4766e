"""A time stamp authority of our own: certificates and answers are made by OpenSSL, behind a small HTTP server."""

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIG = """
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


class Authority:
    """Its keys in a folder, and what it answers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        subject = f"/CN={folder.name}"
        new = ("-newkey", "rsa:2048", "-nodes")
        _openssl(folder, "req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"{subject} root", "-days", "3650")
        _openssl(folder, "req", "-new", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", subject)
        (folder / "extensions").write_text("extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n")
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "3650")
        _openssl(folder, "x509", "-req", "-in", "tsa.csr", *by, "-out", "tsa.pem")
        (folder / "serial").write_text("01\n")
        (folder / "config").write_text(_CONFIG.format(folder=folder))
        self.broken: bytes | None = None
        """What is answered instead."""

    @property
    def line(self) -> str:
        """The line of a policy that names it."""
        _openssl(self._folder, "x509", "-in", "ca.pem", "-outform", "DER", "-out", "ca.der")
        return f"timestamp {self._folder.name} {base64.b64encode((self._folder / 'ca.der').read_bytes()).decode()}\n"

    def answer(self, query: bytes) -> bytes:
        """What it says to a request."""
        if self.broken is not None:
            return self.broken
        (self._folder / "query").write_bytes(query)
        _openssl(self._folder, "ts", "-reply", "-config", "config", "-section", "ours", "-queryfile", "query", "-out", "reply")
        return (self._folder / "reply").read_bytes()


@contextmanager
def served(authority: Authority) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
