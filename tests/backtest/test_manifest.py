import json
import subprocess

import pytest

from mrtrade.backtest import manifest

from .make import manifest_of


def test_the_same_content_has_the_same_id():
    assert manifest_of()["run_id"] == manifest_of()["run_id"]
    assert len(manifest_of()["run_id"]) == 16


def test_the_id_does_not_hang_on_the_stores_path():
    assert manifest_of(store="/elsewhere")["run_id"] == manifest_of()["run_id"]


def test_the_id_hangs_on_config_data_code_and_versions():
    plain = manifest_of()
    seen = {plain["run_id"], manifest_of(capital=1.0)["run_id"]}
    for key, inner, value in (
        ("data", "fingerprint", "cd" * 32),
        ("code", "mrtrade", "0"),
        ("versions", "pandas", "9"),
    ):
        changed = {**plain, key: {**plain[key], inner: value}}
        seen.add(manifest.run_id(changed))
    assert len(seen) == 5


def test_differences_are_named():
    old = manifest_of()
    new = json.loads(json.dumps(manifest_of(capital=1.0)))
    new["data"]["fingerprint"] = "cd" * 32
    new["versions"]["matplotlib"] = None
    new["code"]["mrcore"] = "0"
    found = "; ".join(manifest.differences(old, new))
    for words in ("the data changed", "version of matplotlib", "code of mrcore", "config capital"):
        assert words in found
    assert manifest.differences(old, manifest_of(store="/elsewhere")) == []


def test_code_is_known_by_its_content(tmp_path, monkeypatch):
    import mrtrade

    before = manifest.code_hashes()
    assert before == manifest.code_hashes()
    (tmp_path / "more.py").write_text("x = 1\n")
    monkeypatch.setattr(mrtrade, "__path__", [*mrtrade.__path__, str(tmp_path)])
    after = manifest.code_hashes(tmp_path / "more.py")
    assert after["mrtrade"] != before["mrtrade"]
    assert after["mrcore"] == before["mrcore"]
    assert after["strategy"] == manifest.sha256(tmp_path / "more.py")


def test_the_commit_is_the_one_git_names(tmp_path):
    assert manifest.git_commit(tmp_path) is None

    def git(*args):
        done = subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", *args],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    assert manifest.git_commit(tmp_path) is None
    git("commit", "-q", "--allow-empty", "-m", "first")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    commit = git("rev-parse", "HEAD")
    assert manifest.git_commit(tmp_path / "deep" / "er") == commit
    git("pack-refs", "--all")
    assert manifest.git_commit(tmp_path) == commit
    git("checkout", "-q", "--detach")
    assert manifest.git_commit(tmp_path) == commit


def test_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        manifest.to_json({"x": float("nan")})
