import secrets
import socket
import threading
from contextlib import suppress

import pytest


@pytest.fixture
def s3(s3_server, monkeypatch):
    """Client of the S3 server; the environment is that of a user of it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.client()


@pytest.fixture
def bucket(s3):
    """Return the name of a bucket of one's own; it goes when the server does."""
    name = f"test-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name)
    return name


class Proxy:
    """Stands before a server and, while `cuts` is above 0, breaks connections.

    Parameters
    ----------
    port : int
        Of the server.
    verb : bytes
        Requests that begin so are broken: after `after` bytes of them or, with `answer`, when the
        server has answered, before a byte of the answer is passed on.
    """

    def __init__(self, port, verb, after=0, *, answer=False):
        self.target = port
        self.verb, self.after, self.answer = verb, after, answer
        self.cuts = 0
        self.broken = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.target))
        doomed = threading.Event()
        with client, server, suppress(OSError):
            threading.Thread(
                target=self._answers, args=(client, server, doomed), daemon=True
            ).start()
            passed = 0
            while data := client.recv(1 << 16):
                if data.startswith((b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")):
                    passed = 0
                    if self.cuts and data.startswith(self.verb):
                        self.cuts -= 1
                        self.broken += 1
                        doomed.set()
                passed += len(data)
                if doomed.is_set() and not self.answer and passed > self.after:
                    server.sendall(data[: max(0, len(data) - (passed - self.after))])
                    return
                server.sendall(data)

    def _answers(self, client, server, doomed):
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if doomed.is_set() and self.answer and not data.startswith(b"HTTP/1.1 100"):
                    break
                client.sendall(data)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(s3_server, s3, monkeypatch):
    """Return a function that puts a `Proxy` before the server."""
    made = []

    def make(*arguments, **options):
        made.append(Proxy(s3_server.port, *arguments, **options))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made[-1].port}")
        return made[-1]

    yield make
    for one in made:
        one.close()
