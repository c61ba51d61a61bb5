# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.client import Aws
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.ecr_token import Token
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.pull_check import NotPullableError
from ansible_collections.gpuops.runpod.plugins.module_utils._ecr.token_proof import token_proof
from ansible_collections.gpuops.runpod.plugins.module_utils._oci.registry_client import Registry
from ansible_collections.gpuops.runpod.plugins.modules import runpod_ecr_credential
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_registry import Registries, error

NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TOKEN = Token("AWS", "a-token", NOW + timedelta(hours=12))


class Ecr:
    """A registry that takes one token, and a clock that naps move."""

    def __init__(self) -> None:
        self.now, self.registries = NOW, Registries()
        self.registries.challenges[HOST] = 'Basic realm="ecr"'
        self.registries.logins[HOST] = {base64.b64encode(b"AWS:a-token").decode()}
        self.digest = self.registries[f"{HOST}/app"].image("v1")

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def prove(self, *images: str, token: Token = TOKEN, young: bool = False, check_mode: bool = False) -> Any:
        aws = Aws(lambda *dummy, **options: pytest.fail("AWS is asked"), "", clock=lambda: self.now, sleep=self.sleep)
        made = token_proof(aws, partial(Registry, self.registries), "the pull user", check_mode)
        return made([f"{HOST}/{image}" for image in images], token, self.now + timedelta(minutes=1) if young else None)


def test_the_token_itself_pulls_the_image() -> None:
    ecr = Ecr()
    (report,) = ecr.prove("app:v1")
    assert (report["pullable"], report["digest"], report["image"]) == (True, ecr.digest, f"{HOST}/app:v1")


@pytest.mark.parametrize("image", ["app:v2", "other:v1"])
def test_what_is_not_there_cannot_be_pulled(image: str) -> None:
    with pytest.raises(NotPullableError, match="1 of 2 images cannot be pulled.*The other 1 can be pulled") as caught:
        Ecr().prove("app:v1", image)
    assert [report["pullable"] for report in caught.value.images] == [True, False]


def test_another_token_is_refused() -> None:
    with pytest.raises(NotPullableError):
        Ecr().prove("app:v1", token=TOKEN._replace(password="of somebody else"))


@pytest.mark.parametrize(("young", "pullable"), [(True, True), (False, False)])
def test_a_refusal_may_pass_while_rights_are_young(young: bool, pullable: bool) -> None:
    ecr = Ecr()
    ecr.registries.answers = [error(401, "UNAUTHORIZED", Www_Authenticate='Basic realm="ecr"'), error(403, "DENIED")]
    if pullable:
        assert ecr.prove("app:v1", young=young)[0]["pullable"] is True
    else:
        with pytest.raises(NotPullableError):
            ecr.prove("app:v1", young=young)


def test_in_check_mode_a_right_may_be_still_to_come() -> None:
    ecr = Ecr()
    ecr.registries.answers = [error(401, "UNAUTHORIZED", Www_Authenticate='Basic realm="ecr"'), error(403, "DENIED")]
    assert ecr.prove("app:v1", check_mode=True)[0]["pullable"] is None


@pytest.mark.parametrize(("store", "who"), [({"name": "entry"}, "the pull user"), (None, "the caller")])
def test_the_module_hands_the_proof_over(store: Any, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(runpod_ecr_credential, "token_proof", lambda *given: asked.append(given) or "the proof")
    params = {
        "api_url": "https://api.runpod.io",
        "api_key": "key",
        "api_timeout": 30,
        "validate_certs": True,
        "ca_path": None,
        "aws_ca_bundle": "/ca.pem",
        "aws_config": None,
        "secret_store": store,
        "role_arn": None,
    }
    module: Any = SimpleNamespace(params=params, region="us-east-1", client=None, check_mode=True)
    clients = runpod_ecr_credential.connect(module)
    ((aws, registry, said, check_mode),) = asked
    assert (clients.verify, clients.aws, said, check_mode) == ("the proof", aws, who, True)
    assert registry.args[0].ca_path == "/ca.pem" and registry.args[0].follow_redirects == "none"
