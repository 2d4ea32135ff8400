"""docker-compose.yml, as far as it can be checked without docker."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICE = yaml.safe_load(TEXT)["services"]["timescaledb"]
SETTINGS = dict(re.findall(r"-c ([\w.]+)=(\S+)", SERVICE["command"]))
MEGABYTES = {"MB": 1, "GB": 1024, "mb": 1, "G": 1024}


def megabytes(text):
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()
    return int(number) * MEGABYTES[unit]


def test_the_password_comes_from_the_environment_and_has_no_default():
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert required == {"TIMESCALE_PASSWORD"}
    assert SERVICE["environment"]["POSTGRES_PASSWORD"].startswith("${TIMESCALE_PASSWORD:?")
    example = (ROOT / ".env.example").read_text()
    assert re.search(r"^TIMESCALE_PASSWORD=\s*$", example, re.M)


def test_it_listens_here_only_and_keeps_its_data():
    [port] = SERVICE["ports"]
    assert port.startswith("127.0.0.1:")
    [volume] = SERVICE["volumes"]
    assert SERVICE["environment"]["PGDATA"].startswith(volume.partition(":")[2])
    assert volume.partition(":")[0] in yaml.safe_load(TEXT)["volumes"]


def test_settings_fit_the_limits_and_guard_the_data():
    memory = megabytes(SERVICE["deploy"]["resources"]["limits"]["memory"])
    assert megabytes(SETTINGS["shared_buffers"]) * 4 <= memory
    assert megabytes(SETTINGS["effective_cache_size"]) <= memory
    assert int(SETTINGS["max_worker_processes"]) >= 24
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(SETTINGS)
