# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import CollectionError, InputError, Json
from ansible_collections.gpuops.runpod.plugins.module_utils._sink import kubernetes_access
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.kubernetes_access import Access, access

NOTHING: Json = dict.fromkeys(
    ("host", "api_key", "ca_cert", "client_cert", "client_key", "validate_certs", "kubeconfig", "context")
)
SERVER = "https://cluster.example.com:6443"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def kubeconfig(folder: Path, cluster: Any = None, user: Any = None, **more: Any) -> Path:
    path = folder / "kubeconfig"
    document = {
        "clusters": [None, {"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "nobody", "context": {"cluster": "c"}},
        ],
        "current-context": "one",
        **more,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def found(path: Path | None = None, environment: dict[str, str] | None = None, **options: Any) -> Access:
    folder = Path.home() / "temporary"
    folder.mkdir(exist_ok=True)
    given = {**NOTHING, "kubeconfig": str(path) if path else None, **options}
    return access(given, environment or {}, folder, run_command, Path.home() / "pod")


def run_command(argv: list[str], variables: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_options_go_before_all_else(home: Path) -> None:
    made = found(kubeconfig(home), host=SERVER, api_key="t", ca_cert="/ca", client_cert="/c", client_key="/k")
    assert made == Access(SERVER, "Bearer t", "/ca", "/c", "/k", True)
    assert found(host=SERVER, validate_certs=False) == Access(SERVER, validate_certs=False)
    assert "Bearer" not in repr(made)


def test_a_file_is_found_by_option_variable_and_place(home: Path) -> None:
    path = kubeconfig(home, user={"token": "t"})
    assert found(path).authorization == "Bearer t"
    assert found(environment={"KUBECONFIG": f"{path}:/other"}).authorization == "Bearer t"
    (home / ".kube").mkdir()
    (home / ".kube" / "config").write_text(path.read_text())
    assert found().url == SERVER


def test_options_go_before_what_the_file_says(home: Path) -> None:
    path = kubeconfig(home, {"insecure-skip-tls-verify": True}, {"token": "t"})
    assert found(path) == Access(SERVER, "Bearer t", validate_certs=False)
    made = found(path, api_key="other", ca_cert="/ca", validate_certs=True)
    assert made == Access(SERVER, "Bearer other", "/ca")


def test_a_context_is_chosen(home: Path) -> None:
    assert found(kubeconfig(home, user={"token": "t"}), context="nobody").authorization == ""
    with pytest.raises(InputError, match="no context called 'two'"):
        found(kubeconfig(home), context="two")
    with pytest.raises(InputError, match="no current-context"):
        found(kubeconfig(home, **{"current-context": None}))


def test_what_stands_in_the_file_is_put_where_only_its_owner_reads_it(home: Path) -> None:
    encoded = base64.b64encode(b"PEM").decode()
    user = {"client-certificate-data": encoded, "client-key-data": encoded}
    for _twice in range(2):
        made = found(kubeconfig(home, {"certificate-authority-data": encoded}, user))
        files = [Path(str(name)) for name in (made.ca_path, made.client_cert, made.client_key)]
        assert [(file.read_bytes(), file.stat().st_mode & 0o777) for file in files] == [(b"PEM", 0o600)] * 3
    with pytest.raises(InputError, match="client-key-data is not base64"):
        found(kubeconfig(home, user={"client-key-data": "%"}))


def test_files_are_beside_the_kubeconfig(home: Path) -> None:
    (home / "token").write_text(" from-file\n")
    made = found(
        kubeconfig(home, {"certificate-authority": "ca.crt"}, {"tokenFile": "token", "client-key": "/abs/key"})
    )
    assert (made.authorization, made.ca_path, made.client_key) == ("Bearer from-file", str(home / "ca.crt"), "/abs/key")
    with pytest.raises(InputError, match="gone cannot be read: No such file"):
        found(kubeconfig(home, user={"tokenFile": "gone"}))


def test_a_user_may_have_a_password(home: Path) -> None:
    made = found(kubeconfig(home, user={"username": "me", "password": "p"}))
    assert base64.b64decode(made.authorization.removeprefix("Basic ")) == b"me:p"


def plugin(home: Path, code: str, **more: Any) -> Path:
    command = {"command": sys.executable, "args": ["-c", code], **more}
    return kubeconfig(home, user={"exec": command})


def test_a_credential_plugin_is_asked_as_kubectl_does(home: Path) -> None:
    code = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "print(json.dumps({'status': {'token': os.environ['WHO'] + info['apiVersion'][-7:],"
        " 'clientCertificateData': 'PEM', 'clientKeyData': 'KEY'}}))"
    )
    version = "client.authentication.k8s.io/v1beta1"
    made = found(plugin(home, code, env=[{"name": "WHO", "value": "me-"}], apiVersion=version))
    assert made.authorization == "Bearer me-v1beta1"
    assert Path(str(made.client_key)).read_text() == "KEY"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import sys; sys.exit('log in first')", "log in first"),
        ("print('secret')", "no credential"),
        ("print('[]')", "no credential"),
        ("print('{\"status\": {}}')", "no credential"),
    ],
)
def test_a_plugin_without_a_credential_is_an_error_that_repeats_no_output(home: Path, code: str, named: str) -> None:
    with pytest.raises(CollectionError, match=named) as caught:
        found(plugin(home, code))
    assert "secret" not in str(caught.value)


def test_a_plugin_that_cannot_be_run_is_an_error(home: Path) -> None:
    with pytest.raises(CollectionError, match="nowhere cannot be run for credentials: FileNotFoundError"):
        found(kubeconfig(home, user={"exec": {"command": "nowhere"}}))
    with pytest.raises(InputError, match="names no command"):
        found(kubeconfig(home, user={"exec": {}}))


@pytest.mark.parametrize(
    ("cluster", "user", "named"),
    [
        ({"proxy-url": "http://p"}, {}, "proxy-url of a cluster is not supported"),
        ({"tls-server-name": "x"}, {}, "tls-server-name"),
        ({}, {"auth-provider": {"name": "gcp"}}, "auth-provider"),
        ({}, {"as": "somebody"}, "as of a user"),
        ({"server": ""}, {}, "no server that is an address"),
        ({}, {"token": " "}, "The token for Kubernetes is empty"),
        ({}, {"token": "a b"}, "a blank"),
    ],
)
def test_what_is_not_honoured_is_refused(home: Path, cluster: Json, user: Json, named: str) -> None:
    with pytest.raises(InputError, match=named):
        found(kubeconfig(home, cluster, user))


@pytest.mark.parametrize("text", ["[]", "a: b: c", "contexts: 1\ncurrent-context: one"])
def test_a_file_of_another_kind_is_refused(home: Path, text: str) -> None:
    (home / "other").write_text(text)
    with pytest.raises(InputError, match=r"is not a kubeconfig|has no context"):
        found(home / "other")


def test_without_yaml_a_file_cannot_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig(home)
    monkeypatch.setattr(kubernetes_access, "yaml", kubernetes_access.optional("no_such_library"))
    with pytest.raises(InputError, match="PyYAML"):
        found(path)


def test_a_pod_asks_as_its_own_account(home: Path) -> None:
    (home / "pod").mkdir()
    (home / "pod" / "token").write_text("of-the-pod")
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    authority = str(home / "pod" / "ca.crt")
    assert found(environment=environment) == Access("https://10.0.0.1:6443", "Bearer of-the-pod", authority)
    assert found(environment={"KUBERNETES_SERVICE_HOST": "fd00::1"}).url == "https://[fd00::1]:443"


def test_nothing_is_guessed() -> None:
    with pytest.raises(InputError, match="Nothing says which Kubernetes cluster is meant"):
        found()
    with pytest.raises(InputError, match="must start with https"):
        found(host="cluster")


def test_of_what_a_plugin_says_the_token_stays_out_of_sight(home: Path) -> None:
    made = found(plugin(home, f"print({json.dumps(json.dumps({'status': {'token': 'hush'}}))})"))
    assert "hush" not in repr(made)
