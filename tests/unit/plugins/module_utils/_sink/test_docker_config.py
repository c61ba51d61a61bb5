# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ConflictError,
    InputError,
    Json,
    SupersededError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.docker_config import DockerConfig
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import Registries, SinkState

HOST, OTHER = (f"{account}.dkr.ecr.us-east-1.amazonaws.com" for account in ("123456789012", "111122223333"))
TOKEN = Token("AWS", "secret-of-the-token", datetime(2026, 8, 1, 12, tzinfo=timezone.utc))
THEIRS: Json = {"auth": base64.b64encode(b"me:theirs").decode()}
FOREIGN: Json = {
    "auths": {"ghcr.io": THEIRS},
    "credHelpers": {"gcr.io": "gcloud"},
    "HttpHeaders": {"X": "1"},
    "detachKeys": "ctrl-e",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def sink(path: Path, *hosts: str) -> DockerConfig:
    return DockerConfig({"path": str(path)}, Registries("us-east-1", hosts or (HOST,)))


def write(path: Path, *hosts: str) -> SinkState:
    target = sink(path, *hosts)
    return target.write(target.read(), TOKEN, "AKIAIOSFODNN7EXAMPLE")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_file_is_what_docker_reads(path: Path) -> None:
    write(path, HOST, OTHER)
    auths = json.loads(path.read_text())["auths"]
    assert {host: base64.b64decode(entry["auth"]) for host, entry in auths.items()} == dict.fromkeys(
        (HOST, OTHER), b"AWS:secret-of-the-token"
    )
    assert mode(path) == 0o600


def test_what_others_have_in_it_stays(path: Path) -> None:
    path.write_text(json.dumps(FOREIGN))
    write(path)
    document = json.loads(path.read_text())
    assert document["auths"].pop(HOST) and document.pop("gpuops.runpod").keys() == {HOST}
    assert document == FOREIGN
    target = sink(path)
    target.remove(target.read())
    assert json.loads(path.read_text()) == FOREIGN


def test_a_removal_leaves_the_hosts_of_other_tasks(path: Path) -> None:
    write(path, HOST)
    write(path, OTHER)
    sink(path, HOST).remove(sink(path, HOST).read())
    assert sink(path, HOST).read().summary is None and sink(path, OTHER).read().metadata


def test_a_file_that_held_nothing_else_goes(path: Path) -> None:
    write(path)
    sink(path).remove(sink(path).read())
    assert list(path.parent.iterdir()) == []


def test_a_file_that_others_can_read_is_closed(path: Path) -> None:
    write(path)
    path.chmod(0o644)
    assert sink(path).read().drift
    write(path)
    assert mode(path) == 0o600 and not sink(path).read().drift


def test_a_link_stays_and_what_it_leads_to_is_replaced(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real" / "auth.json"
    real.parent.mkdir()
    path.symlink_to(real)
    write(path)
    assert path.is_symlink() and HOST in json.loads(real.read_text())["auths"]
    sink(path).remove(sink(path).read())
    assert path.is_symlink() and json.loads(real.read_text()) == {}


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    write(tmp_path / "home" / ".docker" / "config.json")
    assert mode(tmp_path / "home" / ".docker") == 0o700


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"credsStore": "secretservice"}, "docker-credential-secretservice.*credsStore"),
        ({"credHelpers": {HOST: "ecr-login"}}, "docker-credential-ecr-login.*credHelpers"),
        ({"credHelpers": {HOST: "ecr-login"}, "credsStore": "ecr-login"}, "credHelpers"),
    ],
)
def test_a_host_that_is_left_to_a_helper_is_refused(path: Path, document: Json, named: str) -> None:
    path.write_text(json.dumps(document))
    with pytest.raises(ConflictError, match=named):
        sink(path).read()
    assert json.loads(path.read_text()) == document


@pytest.mark.parametrize(
    "text", ["{", "[]", '"x"', '{"auths": ["x"]}', '{"auths": 1}', '{"gpuops.runpod": "x"}', "[" * 99999]
)
def test_a_file_of_another_kind_is_refused_and_not_repeated(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConflictError, match="is not the JSON that docker login writes") as caught:
        sink(path).read()
    assert text not in str(caught.value) and path.read_text() == text


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"auths": null, "credHelpers": null}'])
def test_an_empty_file_is_one_without_entries(path: Path, text: str) -> None:
    path.write_text(text)
    assert sink(path).read().summary is None
    assert write(path).metadata


@pytest.mark.parametrize(
    "entry",
    [
        None,
        1,
        {},
        {"auth": ""},
        {"auth": "%%%"},
        {"auth": "/w=="},
        {"auth": "QVdT"},
        {"auth": 1},
        {"identitytoken": "x"},
    ],
)
def test_an_entry_without_a_password_is_none(path: Path, entry: Any) -> None:
    path.write_text(json.dumps({"auths": {HOST: entry}}))
    assert sink(path).read().summary is None


def test_metadata_about_another_password_tells_nothing(path: Path) -> None:
    write(path)
    document = json.loads(path.read_text())
    document["auths"][HOST] = THEIRS
    path.write_text(json.dumps(document))
    state = sink(path).read()
    assert state.metadata is None and state.token is None and "something else has written it" in state.retained


@pytest.mark.parametrize("metadata", ["", "x", "2026-08-01T12:00:00Z KEY", "tomorrow KEY mark", 7])
def test_metadata_of_another_form_is_none(path: Path, metadata: Any) -> None:
    write(path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "gpuops.runpod": {HOST: metadata}}))
    assert sink(path).read().metadata is None


def test_of_two_hosts_both_must_be_known_to_be_of_one_key(path: Path) -> None:
    write(path, HOST)
    partial = sink(path, HOST, OTHER).read()
    assert partial.summary and partial.drift and partial.metadata is None
    other = sink(path, OTHER)
    other.write(other.read(), TOKEN, "AKIAI44QH8DHBEXAMPLE")
    assert sink(path, HOST, OTHER).read().metadata is None


def test_a_write_between_reading_and_writing_is_noticed(path: Path) -> None:
    target = sink(path)
    state = target.read()
    path.write_text("{}")
    with pytest.raises(SupersededError):
        target.write(state, TOKEN, "KEY")
    with pytest.raises(SupersededError):
        target.remove(state)
    assert path.read_text() == "{}"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder"):
        sink(tmp_path)


def test_what_cannot_be_read_or_written_is_an_error_and_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path.write_bytes(b"\xff")
    with pytest.raises(ConflictError, match="cannot be read: it is no text"):
        sink(path).read()
    path.unlink()
    (tmp_path / "file").touch()
    with pytest.raises(ConflictError, match="cannot be (used|read)"):
        write(tmp_path / "file" / "config.json")

    def full(*dummy: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ConflictError, match="cannot be written: No space left"):
        write(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*dummy: Any, **more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(ConflictError, match="cannot be used: Permission denied"):
        write(tmp_path / "new" / "config.json")


def test_the_owner_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path)
    owners: list[tuple[Any, ...]] = []
    monkeypatch.setattr(os, "chown", lambda dummy, *owner: owners.append(owner))
    write(path)
    assert owners == [(os.getuid(), os.getgid())]


def test_a_state_shows_no_token(path: Path) -> None:
    assert TOKEN.password not in repr(write(path))
    assert base64.b64encode(b"AWS:" + TOKEN.password.encode()).decode() not in repr(sink(path).read())
