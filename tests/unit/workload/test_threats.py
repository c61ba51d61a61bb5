# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever gets hold of a token or a key can do, until the door is shut, and what stays possible after that."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.server import ACCESS_KEY
from tests.system.conftest import IMAGE, House

PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage", "ecr:SetRepositoryPolicy")
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/"
WANTED, OTHER = f"{REPOSITORY}runpod-gpu-training", f"{REPOSITORY}runpod-gpu-inference"
HOURS = 3600


def stolen(house: House) -> Any:
    """Return what the token at RunPod stands for."""
    [registry] = house.runpod()["registries"]
    return house.sandbox.aws.logins[registry["password"]]


def refused(house: House, login: Any, actions: tuple[str, ...], arn: str = WANTED) -> list[bool]:
    return [bool(house.sandbox.aws.denial(login, action, arn)) for action in actions]


def test_a_stolen_token_pulls_the_wanted_repositories_and_does_nothing_else(house: House) -> None:
    house.arrange()
    login = stolen(house)
    assert refused(house, login, PULL) == [False, False]
    assert refused(house, login, PULL, OTHER) == [True, True]
    assert refused(house, login, PUSH) == [True] * len(PUSH)


def test_a_stolen_token_ends_within_twelve_hours(house: House) -> None:
    house.arrange()
    assert 11.9 * HOURS < stolen(house).expires - house.sandbox.aws.clock() <= 12 * HOURS


def test_a_quarantine_ends_a_stolen_token_at_once(house: House) -> None:
    house.arrange()
    login = stolen(house)
    house.arrange(access="quarantined")
    assert refused(house, login, PULL) == [True, True]


def test_a_stolen_token_works_again_when_the_quarantine_is_released_before_it_has_ended(house: House) -> None:
    house.arrange()
    login = stolen(house)
    house.arrange(access="quarantined")
    assert house.role(release_quarantine=True).failure == ""
    assert refused(house, login, PULL) == [False, False]
    assert login.expires > house.sandbox.aws.clock()


def test_a_rotation_leaves_the_tokens_of_the_older_key_as_they_are(house: House) -> None:
    house.arrange()
    login = stolen(house)
    assert house.role("rotate", rotate_after_days=0).failure == ""
    assert stolen(house).access_key != login.access_key
    assert refused(house, login, PULL) == [False, False]


def test_a_stolen_key_mints_tokens_and_reaches_nothing_else_of_the_account(house: House) -> None:
    house.arrange()
    entry = json.loads(house.entry())
    key = entry["access_key_id"], entry["secret_access_key"]
    house.sandbox.client("ecr", *key).get_authorization_token()
    with pytest.raises(ClientError, match="AccessDenied"):
        house.sandbox.client("iam", *key).list_users()
    with pytest.raises(ClientError, match="AccessDenied"):
        house.sandbox.client("secretsmanager", *key).get_secret_value(SecretId="runpod-ecr/runpod-ecr-access")


def test_a_stolen_key_works_no_more_once_the_user_is_in_quarantine(house: House) -> None:
    house.arrange()
    entry = json.loads(house.entry())
    house.arrange(access="quarantined")
    with pytest.raises(ClientError):
        house.sandbox.client("ecr", entry["access_key_id"], entry["secret_access_key"]).get_authorization_token()


def test_runpod_holds_tokens_of_ecr_and_no_key_of_aws(house: House) -> None:
    house.arrange({"image": IMAGE, "template": {"env": {"NAME": "value"}}})
    held = json.dumps(house.runpod())
    secret = json.loads(house.entry())
    for each in (*secret.values(), ACCESS_KEY, house.sandbox.environment["AWS_SECRET_ACCESS_KEY"]):
        assert each not in held
        assert base64.b64encode(each.encode()).decode() not in held


def test_by_delegation_runpod_holds_nothing_secret_and_a_teardown_shuts_it_out(house: House) -> None:
    house.arrange(access="delegation")
    assert (house.runpod()["registries"], house.users(), house.secrets()) == ([], [], [])
    assert house.role(access="delegation", state="absent").failure == ""
    assert not house.sandbox.aws.repository_policy("123456789012", "us-east-1", "runpod-gpu-training")


def test_a_refresh_asks_nothing_of_iam(house: House) -> None:
    house.arrange()
    house.sandbox.forget_calls()
    assert house.role("refresh").failure == ""
    assert not [call["name"] for call in house.sandbox.aws_calls() if call["name"].startswith("iam:")]
