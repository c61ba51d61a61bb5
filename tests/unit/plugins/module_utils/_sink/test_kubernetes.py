# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import (
    ApiError,
    ConflictError,
    InputError,
    Json,
    SupersededError,
    TransportError,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.kubernetes import Kubernetes
from ansible_collections.gpuops.runpod.plugins.module_utils._sink.target import Registries, SinkState
from ansible_collections.gpuops.runpod.tests.unit.plugins.sinks import HOST, KubernetesTarget

OTHER = HOST.replace("123456789012", "111122223333")
TOKEN = Token("AWS", "secret-of-the-token", datetime(2026, 8, 1, 12, tzinfo=timezone.utc))
THEIRS = {"auth": base64.b64encode(b"me:theirs").decode()}
TYPE = "kubernetes.io/dockerconfigjson"
PLACE = ("gpu", "ecr-pull")


@pytest.fixture
def target(tmp_path: Path) -> KubernetesTarget:
    return KubernetesTarget(tmp_path)


def sink(target: KubernetesTarget, *hosts: str) -> Kubernetes:
    return target.connect(Registries("us-east-1", hosts or (HOST,)))


def write(target: KubernetesTarget, *hosts: str) -> SinkState:
    secret = sink(target, *hosts)
    return secret.write(secret.read(), TOKEN, "AKIAIOSFODNN7EXAMPLE")


def data(document: Any) -> Json:
    return {".dockerconfigjson": base64.b64encode(json.dumps(document).encode()).decode()}


def test_the_secret_is_what_kubelets_pull_with(target: KubernetesTarget) -> None:
    write(target, HOST, OTHER)
    secret = target.cluster.secrets[PLACE]
    assert secret["type"] == TYPE and secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "gpuops.runpod"}
    assert secret["metadata"]["annotations"].keys() == {f"gpuops.runpod/{host}" for host in (HOST, OTHER)}
    auths = target.document()["auths"]
    assert {base64.b64decode(one["auth"]) for one in auths.values()} == {b"AWS:secret-of-the-token"}


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
        "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn",
        "123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
    ],
)
def test_the_host_of_every_partition_fits_into_an_annotation(target: KubernetesTarget, host: str) -> None:
    assert write(target, host).metadata


def test_what_others_have_in_it_stays(target: KubernetesTarget) -> None:
    metadata = {"labels": {"team": "ml"}, "annotations": {"kept": "yes"}}
    there = {"auths": {"ghcr.io": THEIRS}, "more": 1}
    target.cluster.add(*PLACE, type=TYPE, data={**data(there), "note": "eA=="}, metadata=metadata)
    write(target)
    secret = target.cluster.secrets[PLACE]
    assert secret["metadata"]["labels"] == {"team": "ml"} and secret["metadata"]["annotations"]["kept"] == "yes"
    assert secret["data"]["note"] == "eA==" and target.document()["auths"]["ghcr.io"] == THEIRS
    sink(target).remove(sink(target).read())
    assert target.document() == there and target.cluster.secrets[PLACE]["metadata"]["annotations"] == {"kept": "yes"}


def test_a_secret_that_others_have_made_stays_when_it_is_empty(target: KubernetesTarget) -> None:
    target.cluster.add(*PLACE, type=TYPE, data=data({"auths": {}}))
    write(target)
    sink(target).remove(sink(target).read())
    assert target.document() == {"auths": {}}


def test_a_removal_leaves_the_hosts_of_other_tasks(target: KubernetesTarget) -> None:
    write(target, HOST)
    write(target, OTHER)
    sink(target, HOST).remove(sink(target, HOST).read())
    assert target.document()["auths"].keys() == {OTHER}
    sink(target, OTHER).remove(sink(target, OTHER).read())
    assert not target.cluster.secrets


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": "Opaque", "data": {}}, "of the type Opaque"),
        ({"type": TYPE, "data": data({}), "immutable": True}, "immutable"),
        ({"type": TYPE, "data": data([])}, "holds no document"),
        ({"type": TYPE, "data": data({"auths": 1})}, "holds no document"),
    ],
)
def test_a_secret_of_another_kind_is_refused(target: KubernetesTarget, fields: Json, named: str) -> None:
    target.cluster.add(*PLACE, **fields)
    with pytest.raises(ConflictError, match=named):
        sink(target).read()
    assert not target.cluster.writes


@pytest.mark.parametrize(
    "given", [{".dockerconfigjson": "%%"}, {".dockerconfigjson": 7}, {".dockerconfigjson": "/w=="}]
)
def test_what_is_no_document_is_refused_and_not_repeated(target: KubernetesTarget, given: Json) -> None:
    target.cluster.add(*PLACE, type=TYPE, data=data({}))
    target.cluster.secrets[PLACE]["data"] = given
    with pytest.raises(ConflictError, match="holds no document"):
        sink(target).read()


@pytest.mark.parametrize("given", [None, {}, {".dockerconfigjson": ""}])
def test_a_secret_without_logins_is_filled(target: KubernetesTarget, given: Json | None) -> None:
    target.cluster.add(*PLACE, type=TYPE, data=data({}))
    target.cluster.secrets[PLACE]["data"] = given
    assert sink(target).read().summary is None and write(target).metadata


def test_another_client_that_comes_first_is_noticed(target: KubernetesTarget) -> None:
    secret = sink(target)
    state = secret.read()
    target.cluster.before = lambda: target.cluster.add(*PLACE, type=TYPE, data=data({}))
    with pytest.raises(SupersededError, match="goes on writing the secret gpu/ecr-pull"):
        secret.write(state, TOKEN, "KEY")
    state = write(target)
    for act in (lambda: secret.write(state, TOKEN, "KEY"), lambda: secret.remove(state)):
        target.cluster.before = lambda: target.cluster.change(
            *PLACE, lambda secret: secret["data"].update({"a": "eA=="})
        )
        with pytest.raises(SupersededError):
            act()
    target.cluster.before = target.cluster.secrets.clear
    with pytest.raises(SupersededError, match="was deleted meanwhile"):
        secret.write(secret.read(), TOKEN, "KEY")


def test_a_write_whose_answer_was_lost_is_noticed_by_the_second(target: KubernetesTarget) -> None:
    target.opener.lost = [None, "after"]
    with pytest.raises(SupersededError):
        write(target)
    assert sink(target).read().metadata and target.naps == [1.0]


def test_trouble_is_waited_for_and_then_told_without_the_token(target: KubernetesTarget) -> None:
    target.cluster.faults = [None, 500, 503]
    assert write(target).metadata and target.naps == [1.0, 2.0]
    target.opener.headers["Retry-After"] = "7"
    target.cluster.faults = [None, *[429] * 4]
    secret = sink(target)
    with pytest.raises(ApiError, match="HTTP 429: refused with") as caught:
        secret.write(secret.read(), TOKEN, "KEY")
    text = str(caught.value)
    assert target.naps[2:] == [7.0] * 3
    assert TOKEN.password not in text and base64.b64encode(TOKEN.password.encode()).decode()[:20] not in text


def test_a_cluster_that_does_not_answer_is_told(target: KubernetesTarget) -> None:
    target.opener.lost = ["before"] * 4
    with pytest.raises(TransportError, match="Kubernetes: GET .*no answer from https://k8s.test: reset. Check"):
        sink(target).read()


@pytest.mark.parametrize("answered", [b"<html>", b"[]", b"[" * 99999])
def test_what_is_no_cluster_is_told(target: KubernetesTarget, answered: bytes) -> None:
    for status, error in ((200, "is not it"), (400, "no reason is given")):
        target.opener.handle = lambda *dummy, status=status: (status, answered)
        with pytest.raises(ApiError, match=error):
            sink(target).read()


def test_a_refused_login_and_a_missing_namespace_say_what_to_do(target: KubernetesTarget) -> None:
    secret = sink(target)
    secret.api.headers["Authorization"] = "Bearer wrong"
    with pytest.raises(ApiError, match="HTTP 401: Unauthorized. Check kubernetes.api_key"):
        secret.read()
    target.cluster.namespaces.clear()
    with pytest.raises(ApiError, match='HTTP 404: namespaces "gpu" not found'):
        write(target)


@pytest.mark.parametrize(
    ("name", "namespace"), [("Ecr", "gpu"), ("ecr", "GPU"), ("ecr", "a.b"), ("", "gpu"), ("a" * 254, "gpu")]
)
def test_names_that_kubernetes_does_not_take_are_refused(target: KubernetesTarget, name: str, namespace: str) -> None:
    with pytest.raises(InputError, match="takes no secret"):
        Kubernetes({"name": name, "namespace": namespace}, Registries("us-east-1", (HOST,)), sink(target).api)
