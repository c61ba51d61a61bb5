# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short way to moto tells what the long one tells."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws

from .direct import RESPONSES, shorten

USER, ROLE = {"UserName": "puller"}, {"RoleName": "puller"}
SECRET, PARAMETER = {"SecretId": "runpod-ecr/puller"}, {"Name": "/runpod-ecr/puller"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]})
TAGS = [{"Key": "gpuops.runpod/managed", "Value": "né & <true>"}]
ARN = "arn:aws:iam::123456789012:policy/puller"
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("iam", "create_user", {**USER, "Path": "/runpod/", "Tags": TAGS}),
    ("iam", "create_access_key", USER),
    ("iam", "put_user_policy", {**USER, "PolicyName": "pull", "PolicyDocument": POLICY}),
    ("iam", "create_policy", {"PolicyName": "puller", "PolicyDocument": POLICY, "Tags": TAGS}),
    ("iam", "attach_user_policy", {**USER, "PolicyArn": ARN}),
    ("iam", "create_role", {**ROLE, "Path": "/runpod/", "AssumeRolePolicyDocument": POLICY, "Tags": TAGS}),
    ("iam", "put_role_policy", {**ROLE, "PolicyName": "pull", "PolicyDocument": POLICY}),
    ("iam", "attach_role_policy", {**ROLE, "PolicyArn": ARN}),
    ("secretsmanager", "create_secret", {"Name": SECRET["SecretId"], "SecretString": "né", "Tags": TAGS}),
    ("secretsmanager", "put_secret_value", {**SECRET, "SecretString": "ü"}),
    ("ssm", "put_parameter", {**PARAMETER, "Value": "né", "Type": "SecureString", "Tags": TAGS}),
    ("ecr", "create_repository", {"repositoryName": "app", "tags": TAGS}),
    ("ecr", "set_repository_policy", {"repositoryName": "app", "policyText": POLICY}),
]
READS: list[tuple[str, str, dict[str, Any]]] = [
    ("iam", "get_user", USER),
    ("iam", "list_users", {"PathPrefix": "/runpod/"}),
    ("iam", "list_users", {"PathPrefix": "/nobody/"}),
    ("iam", "list_user_tags", USER),
    ("iam", "list_access_keys", USER),
    ("iam", "list_user_policies", USER),
    ("iam", "get_user_policy", {**USER, "PolicyName": "pull"}),
    ("iam", "list_attached_user_policies", USER),
    ("iam", "list_groups_for_user", USER),
    ("iam", "get_role", ROLE),
    ("iam", "list_roles", {}),
    ("iam", "list_role_tags", ROLE),
    ("iam", "list_role_policies", ROLE),
    ("iam", "get_role_policy", {**ROLE, "PolicyName": "pull"}),
    ("iam", "list_attached_role_policies", ROLE),
    ("iam", "list_instance_profiles_for_role", ROLE),
    ("iam", "list_entities_for_policy", {"PolicyArn": ARN}),
    ("iam", "list_policy_tags", {"PolicyArn": ARN}),
    ("iam", "get_access_key_last_used", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
    ("iam", "get_policy", {"PolicyArn": ARN}),
    ("iam", "get_policy_version", {"PolicyArn": ARN, "VersionId": "v1"}),
    ("iam", "list_policy_versions", {"PolicyArn": ARN}),
    ("iam", "list_policies", {"Scope": "Local"}),
    ("secretsmanager", "get_secret_value", SECRET),
    ("secretsmanager", "describe_secret", SECRET),
    ("secretsmanager", "list_secrets", {}),
    ("ssm", "get_parameter", {**PARAMETER, "WithDecryption": True}),
    ("ssm", "describe_parameters", {}),
    ("ssm", "list_tags_for_resource", {"ResourceType": "Parameter", "ResourceId": PARAMETER["Name"]}),
    ("ecr", "describe_repositories", {"repositoryNames": ["app"]}),
    ("ecr", "get_repository_policy", {"repositoryName": "app"}),
    ("ecr", "list_tags_for_resource", {"resourceArn": "arn:aws:ecr:us-east-1:123456789012:repository/app"}),
    ("ecr", "get_authorization_token", {}),
    ("sts", "get_caller_identity", {}),
]
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("iam", "get_user", {"UserName": "nobody"}),
    ("iam", "create_user", USER),
    ("iam", "delete_user", USER),
    ("iam", "create_user", {"UserName": 7}),
    ("secretsmanager", "describe_secret", {"SecretId": "nothing"}),
    ("secretsmanager", "create_secret", {"Name": SECRET["SecretId"], "SecretString": "again"}),
    ("ssm", "get_parameter", {"Name": "/nothing"}),
    ("ssm", "put_parameter", {**PARAMETER, "Value": "again", "Type": "SecureString"}),
    ("ecr", "describe_repositories", {"repositoryNames": ["nothing"]}),
    ("ecr", "get_repository_policy", {"repositoryName": "nothing"}),
]


def told(client: Any, operation: str, request: dict[str, Any]) -> Any:
    """Return what a call tells: its answer, or its error."""
    try:
        answer = getattr(client, operation)(**request)
    except ClientError as error:
        return str(error), error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    except ParamValidationError as error:
        return str(error)
    return answer.pop("ResponseMetadata")["HTTPStatusCode"], answer


def test_both_ways_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    with mock_aws():
        long, short = ({service: boto3.client(service, "us-east-1") for service in RESPONSES} for dummy in range(2))
        for client in short.values():
            shorten(client)
        for service, operation, request in WRITES:
            assert told(short[service], operation, request)[0] == 200
        for service, operation, request in READS + REFUSED:
            there, here = (told(ways[service], operation, request) for ways in (long, short))
            assert drifting(there) == drifting(here), (operation, request)


def drifting(answer: Any) -> Any:
    """Leave out what moto makes anew with each answer, and of times what the short way leaves out."""
    if isinstance(answer, datetime):
        return int(answer.timestamp() * 1000)
    if isinstance(answer, dict):
        return {key: drifting(value) for key, value in answer.items() if key != "expiresAt"}
    return [drifting(each) for each in answer] if isinstance(answer, list | tuple) else answer
