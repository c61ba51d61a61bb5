# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of a module: of one session, with the module's options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.module import AwsModule
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError

KEY = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


def module(**params: Any) -> AwsModule:
    made = AwsModule.__new__(AwsModule)
    made._module = SimpleNamespace(params={"region": "eu-west-1", "validate_certs": True, **KEY, **params})
    return made


def signer(client: Any) -> str:
    return str(client._request_signer._credentials.access_key)


def test_clients_share_a_session_and_the_module_s_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    session = boto3.session.Session

    def count(**options: Any) -> Any:
        made.append(options)
        return session(**options)

    monkeypatch.setattr(boto3.session, "Session", count)
    aws = module(endpoint_url="http://127.0.0.1:1", aws_config={"connect_timeout": 7})
    iam, ecr = aws.client("iam"), aws.client("ecr", region="us-east-1")

    assert made == [{"profile_name": None}]
    assert [client.meta.region_name for client in (iam, ecr)] == ["eu-west-1", "us-east-1"]
    assert iam.meta.endpoint_url == "http://127.0.0.1:1"
    assert iam.meta.config.connect_timeout == 7
    assert "gpuops.runpod" in iam.meta.config.user_agent
    assert signer(iam) == KEY["access_key"]


def test_client_of_another_identity_leaves_the_others_alone() -> None:
    aws = module(session_token="of the operator")
    other = aws.client(
        "ecr", aws_access_key_id="AKIAI44QH8DHBEXAMPLE", aws_secret_access_key="x", aws_session_token=None
    )
    own = aws.client("ecr")
    assert (signer(other), other._request_signer._credentials.token) == ("AKIAI44QH8DHBEXAMPLE", None)
    assert (signer(own), own._request_signer._credentials.token) == (KEY["access_key"], "of the operator")


def test_settings_of_one_client_take_the_place_of_the_module_s() -> None:
    once = module().client("iam", aws_config={"retries": {"total_max_attempts": 1}})
    assert once.meta.config.retries["total_max_attempts"] == 1


def test_client_tries_again_only_where_it_is_asked_for() -> None:
    client = module().client("iam", retry_decorator=AWSRetry.jittered_backoff(retries=1))
    assert client.get_user.__wrapped__


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"profile": "nobody", "access_key": None, "secret_key": None}, "profile .nobody. could not be found"),
        ({"endpoint_url": "nonsense"}, "nonsense"),
        ({"aws_config": {"no_such_setting": 1}}, "no_such_setting"),
    ],
)
def test_options_that_describe_no_client_are_an_error_that_names_them(params: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"no way to iam of AWS: .*{says}.* Check profile"):
        module(**params).client("iam")


def test_region_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    aws = module(region=None)
    assert aws.region == "ap-northeast-2"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert aws.region == "ap-northeast-2"
