"""What answers `/exec` and `/exp` as QuestDB's documentation says. It is not QuestDB.

Behind it is DuckDB; a statement outside of the part of SQL that QuestDB documents is refused.
"""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import duckdb

UNDOCUMENTED = re.compile(r"\b(COPY|DECLARE|DELETE|DISTINCT\s+ON|RETURNING|LATERAL)\b|::", re.I)
TYPES = {
    "VARCHAR": "SYMBOL",
    "BIGINT": "LONG",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP_NS",
}


class FakeQuestDB:
    """A small HTTP server.

    Attributes
    ----------
    trouble : list of str
        One is taken for each answer of ``/exp``: "slow", "cut" (fewer bytes than announced),
        "short" (rows are missing), "500", "json", "wait".
    asked : list of str
        Statements received.
    """

    def __init__(self):
        self.database = duckdb.connect()
        self.trouble = []
        self.asked = []
        self.token = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                fake.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.lock = threading.Lock()

    def answer(self, request):
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.send(request, 401, b"Unauthorized")
        url = urlsplit(request.path)
        sql = parse_qs(url.query)["query"][0]
        trouble = self.trouble.pop(0) if self.trouble and url.path == "/exp" else None
        if trouble == "slow":
            time.sleep(1.5)
        if trouble == "500":
            return self.send(request, 500, b"{}")
        with self.lock:
            self.asked.append(sql)
            try:
                if UNDOCUMENTED.search(sql):
                    raise duckdb.Error("not documented")
                found = self.database.sql(sql)
                names, types, rows = found.columns, list(map(str, found.types)), found.fetchall()
            except duckdb.Error as error:
                body = json.dumps({"query": sql, "error": str(error), "position": 0})
                return self.send(request, 400, body.encode())
        if url.path == "/exec":
            body = {
                "query": sql,
                "columns": [
                    {"name": name, "type": TYPES.get(kind, kind)}
                    for name, kind in zip(names, types, strict=True)
                ],
                "timestamp": -1,
                "dataset": [
                    [written(value, kind) for value, kind in zip(row, types, strict=True)]
                    for row in rows
                ],
                "count": len(rows),
            }
            return self.send(request, 200, json.dumps(body).encode())
        if trouble == "short":
            rows = rows[:-1]
        lines = [",".join(quoted(name, "VARCHAR") for name in names)]
        lines += [
            ",".join(quoted(value, kind) for value, kind in zip(row, types, strict=True))
            for row in rows
        ]
        body = ("\r\n".join(lines) + "\r\n").encode()
        if trouble == "json":
            body = b'{"query": "...", "error": "out of memory"}'
        self.send(request, 200, body, cut=trouble == "cut")

    @staticmethod
    def send(request, status, body, *, cut=False):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            request.close_connection = True


def written(value, kind):
    """Write a value of JSON."""
    if value is None or not kind.startswith("TIMESTAMP"):
        return value
    return stamp(value)


def quoted(value, kind):
    """Write a value of CSV."""
    if value is None:
        return ""
    if kind == "VARCHAR":
        return '"' + value.replace('"', '""') + '"'
    if kind == "BOOLEAN":
        return str(value).lower()
    return stamp(value) if kind.startswith("TIMESTAMP") else repr(value)


def stamp(value):
    """Write a time with six digits, as QuestDB does for its TIMESTAMP."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


@contextmanager
def fake_questdb():
    """Run a fake until the end of the block."""
    fake = FakeQuestDB()
    thread = threading.Thread(target=fake.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()
