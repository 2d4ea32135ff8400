"""An S3 server of our own on 127.0.0.1, with faults on demand.

Objects are files of a folder, ``<root>/<bucket>/<key>``; requests are addressed by path. What it
knows of S3: HEAD and GET with Range, If-Match and partNumber, ListObjectsV2 with pages, delimiter
and start-after, ETags as S3 makes them (MD5, or that of the parts), the codes of refusals. It knows
access keys but no signatures: for those there is moto.
"""

import hashlib
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

MD5 = {"usedforsecurity": False}


@dataclass
class Fault:
    """What goes wrong, with which requests, and how often.

    `kind`: ``status`` answers with `code` and `status`; ``reset`` closes before an answer; ``cut``
    resets the connection after `after` bytes of a body; ``short`` ends it in good order there;
    ``flip`` changes the byte at `after`; ``slow`` waits `after` seconds before each 64 KiB.
    """

    kind: str
    times: int = 1
    match: str = ""
    method: str = "GET"
    after: float = 0
    code: str = "SlowDown"
    status: int = 503


class S3Stub:
    """The server; use it in a ``with`` block.

    Parameters
    ----------
    root : path
    keys : set of str, optional
        Access keys that are let in; without it everyone is, unsigned too.
    page : int
        Keys a page of a listing.
    """

    def __init__(self, root, keys=None, page=1000):
        self.root = Path(root)
        self.keys = keys
        self.page = page
        self.faults = []
        self.requests = []
        self.part_sizes = {}
        self._etags = {}
        self._lock = threading.Lock()

    def __enter__(self):
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def put(self, bucket, key, content, part_size=None):
        """Put an object; with `part_size` as an upload of several parts."""
        path = self.root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.part_sizes[path] = part_size
        self._etags.pop(path, None)
        return self.etag(path)

    def fail(self, kind, **options):
        self.faults.append(Fault(kind, **options))

    def count(self, method="GET", match=""):
        return sum(m == method and match in path for m, path, _ in self.requests)

    def etag(self, path):
        with self._lock:
            if path not in self._etags:
                self._etags[path] = _etag(path, self.part_sizes.get(path))
            return self._etags[path]

    def fault_of(self, method, path):
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method == method and fault.match in path:
                    fault.times -= 1
                    return fault
        return None


def _etag(path, part_size):
    digests = []
    with path.open("rb") as file:
        while block := file.read(part_size or -1):
            digests.append(hashlib.md5(block, **MD5))
    if part_size is None:
        return (digests or [hashlib.md5(b"", **MD5)])[0].hexdigest()
    joined = hashlib.md5(b"".join(one.digest() for one in digests), **MD5)
    return f"{joined.hexdigest()}-{len(digests)}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        # lakeapi's login asks a function of Amazon: there is none here, so it reads S3 itself.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._refuse(404, "ResourceNotFoundException")

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        stub = self.stub
        stub.requests.append((self.command, unquote(self.path), self.headers.get("Range")))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        fault = stub.fault_of(self.command, unquote(self.path))
        if fault and fault.kind == "status":
            return self._refuse(fault.status, fault.code)
        if fault and fault.kind == "reset":
            return self._reset()
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        if stub.keys is not None and not signed:
            return self._refuse(403, "AccessDenied")
        if stub.keys is not None and signed[1] not in stub.keys:
            # As S3 does, with the key in the text: it must not reach the user.
            return self._refuse(403, "InvalidAccessKeyId", f"no such key: {signed[1]}")
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        folder = stub.root / bucket
        if not folder.is_dir():
            return self._refuse(404, "NoSuchBucket")
        if not key:
            return self._list(folder, bucket, query)
        path = folder / key
        if not path.is_file():
            return self._refuse(404, "NoSuchKey")
        return self._object(path, query, fault)

    def _object(self, path, query, fault):
        etag, size = self.stub.etag(path), path.stat().st_size
        wanted = self.headers.get("If-Match")
        if wanted and wanted.strip('"') != etag:
            return self._refuse(412, "PreconditionFailed")
        first, last, status = 0, size - 1, 200
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        part = self.stub.part_sizes.get(path)
        if "partNumber" in query and part:
            last, status = min(part, size) - 1, 206
        elif span:
            first = int(span[1]) if span[1] else max(0, size - int(span[2]))
            last = min(last, int(span[2])) if span[1] and span[2] else last
            status = 206
            if first >= size:
                return self._refuse(416, "InvalidRange")
        self.send_response(status)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Type", "binary/octet-stream")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command == "GET":
            self._send(path, first, last + 1, fault)

    def _send(self, path, at, end, fault):
        kind, after = (fault.kind, fault.after) if fault else ("", 0)
        stop = min(end, at + int(after)) if kind in ("cut", "short") else end
        with path.open("rb") as file, suppress(ConnectionError):
            while at < stop:
                file.seek(at)
                block = bytearray(file.read(min(1 << 16 if kind else 1 << 20, stop - at)))
                if kind == "flip" and at <= after < at + len(block):
                    block[int(after) - at] ^= 0x10
                if kind == "slow":
                    time.sleep(after)
                self.wfile.write(block)
                at += len(block)
        if kind == "cut":
            time.sleep(0.05)  # what a reset overtakes, the other side never sees
            self._reset()
        elif kind == "short":
            self.close_connection = True

    def _reset(self):
        # Closing with unsent data thrown away is what a peer sees as "connection reset".
        with suppress(OSError):
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _list(self, folder, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after", "")
        most = min(int(query.get("max-keys", 1000)), self.stub.page)
        found, folders, token = [], [], None
        for key in sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()):
            if not key.startswith(prefix) or key <= after:
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                common = prefix + rest.partition(delimiter)[0] + delimiter
                if common not in folders:
                    folders.append(common)
                continue
            if len(found) == most:
                token = found[-1]
                break
            found.append(key)
        self._answer(200, _listing(self.stub, folder, bucket, prefix, found, folders, token))

    def _refuse(self, status, code, message=""):
        text = f"<Error><Code>{code}</Code><Message>{escape(message or code)}</Message></Error>"
        self._answer(status, text)

    def _answer(self, status, text):
        body = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _listing(stub, folder, bucket, prefix, keys, folders, token):
    rows = []
    for key in keys:
        path = folder / key
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(path.stat().st_mtime))
        rows.append(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
            f"<ETag>&quot;{stub.etag(path)}&quot;</ETag><Size>{path.stat().st_size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
    rows += [f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders]
    if token:
        rows.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>")
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
        f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>{stub.page}</MaxKeys>"
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{''.join(rows)}"
        "</ListBucketResult>"
    )
