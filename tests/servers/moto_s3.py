"""An S3 server in a process of its own: moto, which keeps its objects in memory."""

import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .address import HOST, Server, ServerError


class S3Server(Server):
    """`endpoint` is its address; `user` and `password` are the two keys."""

    user = "AKIAMRTRADETESTS0000"

    def __init__(self, folder: Path) -> None:
        super().__init__("s3", secrets.token_hex(20))
        self.endpoint = f"http://{HOST}:{self.port}"
        self.label = f"S3 of moto {version('moto')}"
        log = folder / "log"
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig=TERM"),  # it ends with the process that started it
                    *(sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/moto-api/data.json"):
                    return
            except urllib.error.URLError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.remove()
                    raise ServerError(f"moto did not start:\n{log.read_text()}") from error
                time.sleep(0.05)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make any client of Amazon's libraries use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.user,
            "AWS_SECRET_ACCESS_KEY": self.password,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self) -> Any:
        """Return a boto3 client for it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.user,
            aws_secret_access_key=self.password,
            region_name="us-east-1",
        )

    def how_to_reach(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.environment.items())

    def make_database(self, name: str) -> None:
        """Make a bucket."""
        self.client().create_bucket(Bucket=name)

    def drop_database(self, name: str) -> None:
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for one in page.get("Contents", []):
                client.delete_object(Bucket=name, Key=one["Key"])
        client.delete_bucket(Bucket=name)

    def remove(self) -> None:
        """End it with all its buckets."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def s3() -> Iterator[S3Server]:
    """Start the S3 server."""
    with TemporaryDirectory() as folder:
        server = S3Server(Path(folder))
        try:
            yield server
        finally:
            server.remove()
