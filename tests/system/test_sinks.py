# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a token in each of its targets: made by a real run; foretold, kept, audited, renewed and removed here."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trustme

from ansible_collections.gpuops.runpod.plugins.modules import ecr_token_sink
from ansible_collections.gpuops.runpod.tests.module_args import patch_module_args, result_of
from tests.sandbox import kubernetes

from . import controller
from .conftest import IMAGE, REGISTRY, ROOT, USER, House, Run

Json = dict[str, Any]
TYPES = ["awx", "docker_config", "kubernetes", "runpod_secret"]
COMMON = {"image": IMAGE, "secret_store": {"name": f"runpod-ecr/{USER}"}}
REGISTRY_FIELDS = [{"id": name} for name in ("host", "username", "password", "verify_ssl")]
TASK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - name: Keep a token in {{ sink.type }}
      gpuops.runpod.ecr_token_sink: "{{ common | combine(sink) }}"
      loop: "{{ sinks }}"
      loop_control: {loop_var: sink, label: "{{ sink.type }}"}
      register: done
    - ansible.builtin.copy:
        content: "{{ done.results | to_json }}"
        dest: "{{ results }}"
        mode: "0600"
      check_mode: false
"""


class Targets:
    """One target of each type, on loopback, and runs that keep tokens in all of them."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder
        self.cluster, self.awx = kubernetes.KubernetesApi(), controller.Controller()
        kind = {"name": "Container Registry", "kind": "registry", "inputs": {"fields": REGISTRY_FIELDS}}
        self.awx.add("credential_types", kind)
        self.file = folder / "docker" / "config.json"
        self.playbook = folder / "sinks.yml"
        self.playbook.write_text(TASK)
        self.environment: dict[str, str] = {}
        self.output = ""

    def sinks(self) -> list[Json]:
        return [
            {"type": "awx", "awx": {"name": "ECR"}},
            {"type": "docker_config", "docker_config": {"path": str(self.file)}},
            {"type": "kubernetes", "kubernetes": {"name": "ecr-pull", "namespace": "gpu"}},
            {"type": "runpod_secret", "runpod_secret": {"name": "ecr-token"}},
        ]

    def run(self, *arguments: str, **common: Any) -> dict[str, Json]:
        """Return the result for each type."""
        results = self.folder / "results.json"
        variables = self.folder / "variables.json"
        given = {"sinks": self.sinks(), "common": {**COMMON, **common}, "results": str(results)}
        variables.write_text(json.dumps(given))
        run: Run = self.house.play(self.playbook, "-e", f"@{variables}", *arguments, **self.environment)
        assert run.code == 0, run.output
        self.output += run.output
        return dict(zip(TYPES, json.loads(results.read_text()), strict=True))

    def here(self, check: bool = False, **common: Any) -> dict[str, Json]:
        """Return what the module says in this process for each type."""
        return {
            sink["type"]: self._said({**COMMON, **common, **sink, "_ansible_check_mode": check, "_ansible_diff": True})
            for sink in self.sinks()
        }

    def _said(self, options: Json) -> Json:
        said = io.StringIO()
        with (
            patch.dict(os.environ, {**self.house.environment(), **self.environment}),
            patch_module_args(options),
            redirect_stdout(said),
            suppress(SystemExit),
        ):
            ecr_token_sink.main()
        result = result_of(said.getvalue())
        self.output += json.dumps(result)
        assert not result.get("failed"), result
        return result

    def passwords(self) -> dict[str, str | None]:
        """Return what each logs in with, without our own code."""
        files = {"docker_config": self.file.read_text() if self.file.exists() else "{}", "kubernetes": "{}"}
        if secret := self.cluster.secrets.get(("gpu", "ecr-pull")):
            files["kubernetes"] = base64.b64decode(secret["data"][".dockerconfigjson"]).decode()
        entries = {kind: json.loads(text).get("auths", {}).get(REGISTRY) for kind, text in files.items()}
        credentials = list(self.awx.things["credentials"].values())
        return {
            **{
                kind: entry and base64.b64decode(entry["auth"]).decode().partition(":")[2]
                for kind, entry in entries.items()
            },
            "awx": credentials[0]["inputs"]["password"] if credentials else None,
            "runpod_secret": next((one["value"] for one in self.house.runpod()["secrets"]), None),
        }


@pytest.fixture
def targets(house: House, tmp_path: Path) -> Iterator[Targets]:
    """The cluster speaks TLS, and a kubeconfig says so."""
    house.arrange()
    made = Targets(house, tmp_path)
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    with kubernetes.serving(made.cluster, tls) as cluster, controller.serving(made.awx) as awx:
        trusted = base64.b64encode(authority.cert_pem.bytes()).decode()
        config = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": cluster, "certificate-authority-data": trusted}}],
            "users": [{"name": "test", "user": {"token": kubernetes.TOKEN}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        made.environment = {
            "HOME": str(tmp_path),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections"),
            "K8S_AUTH_KUBECONFIG": str(tmp_path / "kubeconfig"),
            "CONTROLLER_HOST": awx,
            "CONTROLLER_OAUTH_TOKEN": controller.TOKEN,
        }
        yield made


def changed(results: dict[str, Json]) -> set[str]:
    return {kind for kind, result in results.items() if result["changed"]}


def codes(results: dict[str, Json]) -> dict[str, list[str]]:
    return {kind: [one["code"] for one in result["findings"]] for kind, result in results.items()}


def test_the_life_of_a_token_in_each_target(targets: Targets) -> None:
    aws = targets.house.sandbox.aws
    foretold = targets.here(check=True)
    assert changed(foretold) == set(TYPES) and set(targets.passwords().values()) == {None}

    aws.switch(token_seconds=3600)
    made = targets.run("-vvv", "--diff", verify_images=[IMAGE], min_validity_hours=0.5)
    first = targets.passwords()
    assert changed(made) == set(TYPES) and None not in first.values()
    assert all(one["images"][0]["pullable"] for one in made.values())
    pull = ["skopeo", "inspect", "--raw", "--authfile", str(targets.file), f"docker://{IMAGE}"]
    environment = targets.house.environment()
    assert b"schemaVersion" in subprocess.run(pull, env=environment, capture_output=True, check=True).stdout
    assert changed(targets.here(min_validity_hours=0.5)) == set()

    aws.switch(token_seconds=12 * 3600)
    audited = targets.here(check=True)
    assert codes(audited) == dict.fromkeys(TYPES, ["sink_ends_soon"]) and targets.passwords() == first
    renewed = targets.here()
    second = targets.passwords()
    assert changed(renewed) == set(TYPES) and not set(first.values()) & set(second.values())
    assert all(made[kind]["sink"]["target"] == renewed[kind]["sink"]["target"] for kind in TYPES)

    assert changed(targets.here(state="absent")) == set(TYPES)
    assert set(targets.passwords().values()) == {None}
    assert changed(targets.here(state="absent")) == set()

    entry = json.loads(targets.house.entry())
    secrets = {*first.values(), *second.values(), entry["secret_access_key"], kubernetes.TOKEN, controller.TOKEN}
    assert not [secret for secret in secrets if secret and secret in targets.output]
