# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    MANAGED,
    Entry,
    KeyPair,
    KeyReservation,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_store import SecretStore
from ansible_collections.gpuops.runpod.plugins.module_utils._aws.stored_key import STORES, store_of
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError, InputError
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account, client, refusal

NOW = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOTE = KeyReservation(NOW, ("A", "B"))
NOTED = Entry("", pending=NOTE, lock=NOW)
SECRETS: dict[str, Any] = {"type": "secretsmanager", "name": "mine", "region": None, "kms_key_id": None, "tags": None}
SSM: dict[str, Any] = {**SECRETS, "type": "ssm", "name": "/mine/key"}


@pytest.fixture(params=[SECRETS, SSM], ids=["secretsmanager", "ssm"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture
def store(account: Account, options: dict[str, Any]) -> SecretStore:
    return store_of(account.aws(), {**options, "tags": {"cost": 7}})


# Both stores


def test_entry_from_its_making_to_its_end(store: SecretStore) -> None:
    assert store.read() is None and store.tags() == {}
    made = store.create("puller", NOTED)
    assert made is not None and made.arn.startswith(store.arn("aws", "123456789012"))
    assert store.read() == made == NOTED._replace(arn=made.arn, version=made.version)
    assert store.tags() == {MANAGED: "puller", "cost": "7"}
    put = store.put(made, Entry(made.arn, KEY, NOW, None))
    assert put and store.read() == put == Entry(made.arn, KEY, NOW, version=put.version)
    store.tag({"one": "1", "two": "2"})
    store.untag(["one"])
    assert store.tags() == {MANAGED: "puller", "cost": "7", "two": "2"}
    store.delete()
    store.delete()  # what is gone is as good as deleted
    assert store.read() is None and store.tags() == {}
    assert store.create("puller", NOTED)  # the name is free at once


def test_write_from_knowledge_that_is_out_of_date_changes_nothing(store: SecretStore) -> None:
    made = store.create("puller", NOTED)
    assert made
    theirs = store.put(made, Entry(made.arn, KEY, NOW, NOTE))
    assert theirs
    assert store.put(made, Entry(made.arn, None, None, NOTE)) is None
    assert store.put(made, Entry(made.arn, KEY, NOW, NOTE)) is None  # not even what means the same
    assert store.read() == theirs
    assert store.put(theirs, Entry(theirs.arn, KEY, NOW, None))


def test_write_that_is_sent_twice_because_an_answer_was_lost_counts_once(account: Account, store: SecretStore) -> None:
    def first_try() -> None:
        name, request = account.requests[-1]
        service, dummy, operation = name.partition(":")
        getattr(client(service), operation)(**request)

    made = store.create("puller", NOTED)
    for call in ("secretsmanager:put_secret_value", "ssm:put_parameter"):
        account.before[call] = first_try
    assert made
    put = store.put(made, Entry(made.arn, KEY, NOW, None))
    assert put and store.read() == put


def test_entry_that_another_run_deletes_meanwhile_is_not_made_anew(store: SecretStore) -> None:
    made = store.create("puller", NOTED)
    assert made
    store.delete()
    assert store.put(made, Entry(made.arn, KEY, NOW)) is None
    assert store.read() is None


def test_refused_write_is_an_error(account: Account, store: SecretStore) -> None:
    made = store.create("puller", NOTED)
    for call in ("secretsmanager:put_secret_value", "ssm:put_parameter"):
        account.before[call] = refusal("AccessDeniedException")
    assert made
    with pytest.raises(AwsError, match="AccessDenied"):
        store.put(made, Entry(made.arn, KEY, NOW, None))


def test_second_maker_of_an_entry_learns_that_it_lost(store: SecretStore) -> None:
    assert store.create("puller", NOTED)
    assert store.create("puller", NOTED) is None


def test_entry_whose_making_is_refused_is_an_error(account: Account, store: SecretStore) -> None:
    account.before["secretsmanager:create_secret"] = refusal("InvalidRequestException", 400, "no such key")
    account.before["ssm:put_parameter"] = refusal("InvalidKeyId")
    with pytest.raises(AwsError, match="CreateSecret: Inv.*no such key|PutParameter: InvalidKeyId"):
        store.create("puller", NOTED)


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "InvalidRequestException"])
def test_only_a_definite_answer_means_that_there_is_no_entry(account: Account, store: SecretStore, code: str) -> None:
    for read in (store.read, store.tags):
        for call in ("get_secret_value", "describe_secret"):
            account.before[f"secretsmanager:{call}"] = refusal(code)
        for call in ("get_parameter", "list_tags_for_resource"):
            account.before[f"ssm:{call}"] = refusal(code)
        with pytest.raises(AwsError, match=code):
            read()


def test_options_of_the_store(account: Account, options: dict[str, Any]) -> None:
    aws = account.aws("eu-west-1")
    assert store_of(aws, options, "puller").name == options["name"]
    assert store_of(aws, options).region == "eu-west-1"
    assert store_of(aws, {**options, "region": "us-west-2"}).region == "us-west-2"
    with pytest.raises(InputError, match="needs a name"):
        store_of(aws, {**options, "name": None})
    with pytest.raises(InputError, match="gpuops.runpod/x"):
        store_of(aws, {**options, "tags": {"gpuops.runpod/x": "1"}})


@pytest.mark.parametrize(
    ("kind", "name", "arn", "command"),
    [
        (
            "secretsmanager",
            "runpod-ecr/puller",
            "arn:aws-cn:secretsmanager:us-east-1:123456789012:secret:runpod-ecr/puller",
            "aws secretsmanager tag-resource --region us-east-1 --secret-id runpod-ecr/puller",
        ),
        (
            "ssm",
            "/runpod-ecr/puller",
            "arn:aws-cn:ssm:us-east-1:123456789012:parameter/runpod-ecr/puller",
            "aws ssm add-tags-to-resource --region us-east-1 --resource-type Parameter "
            "--resource-id /runpod-ecr/puller",
        ),
    ],
)
def test_default_entry_of_a_user(account: Account, kind: str, name: str, arn: str, command: str) -> None:
    store = store_of(account.aws(), {**SECRETS, "type": kind, "name": None}, "puller")
    assert (store.name, store.arn("aws-cn", "123456789012")) == (name, arn)
    assert store.claim("puller") == f"{command} --tags Key=gpuops.runpod/managed,Value=puller"


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("secretsmanager", "aws secretsmanager put-secret-value --region r --secret-id=-n --secret-string '{}'"),
        ("ssm", "aws ssm put-parameter --region r --name=-n --type SecureString --overwrite --value '{}'"),
    ],
)
def test_an_entry_is_overwritten_by_a_command(kind: str, command: str) -> None:
    assert STORES[kind].overwrite_command("r", "-n", "{}") == command


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("secretsmanager", "team/pull_+=.@-", True),
        ("secretsmanager", "runpod-ecr/runpod-ecr-access", True),
        ("secretsmanager", "x" * 512, True),
        ("secretsmanager", "x" * 513, False),
        ("secretsmanager", "team pull", False),
        ("secretsmanager", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x", False),
        ("secretsmanager", "pull\n", False),
        ("ssm", "puller", True),
        ("ssm", "/puller", True),
        ("ssm", "/runpod-ecr/puller_1.2", True),
        ("ssm", "/a" * 15, True),
        ("ssm", "/a" * 16, False),
        ("ssm", "runpod-ecr/puller", False),
        ("ssm", "/runpod-ecr/", False),
        ("ssm", "/runpod-ecr//puller", False),
        ("ssm", "/", False),
        ("ssm", "/runpod-ecr/a@b", False),
        ("ssm", "/runpod ecr", False),
        ("ssm", "awsome", False),
        ("ssm", "/AWS/puller", False),
        ("ssm", "SSM-puller", False),
        ("ssm", "/ssm/puller", False),
        ("ssm", "/team/aws-ssm", True),
        ("ssm", "x" * 940, True),
        ("ssm", "x" * 941, False),
        ("ssm", "puller\n", False),
        ("ssm", "/runpod-ecr/püller", False),
    ],
)
def test_names(account: Account, kind: str, name: str, good: bool) -> None:
    options = {**SECRETS, "type": kind, "name": name}
    if good:
        assert store_of(account.aws(), options).name == name
    else:
        with pytest.raises(InputError, match="takes no entry"):
            store_of(account.aws(), options)
    assert account.calls == []


def test_default_name_that_the_store_does_not_take_asks_for_one(account: Account) -> None:
    with pytest.raises(InputError, match="secret_store.name: .* takes no entry '/runpod-ecr/a@b', but up to 940"):
        store_of(account.aws(), {**SSM, "name": None}, "a@b")


# Secrets Manager


def test_entry_in_its_recovery_window_is_seen_and_restored(account: Account) -> None:
    store = store_of(account.aws(), SECRETS)
    made = store.create("puller", NOTED)
    assert made
    client("secretsmanager").delete_secret(SecretId="mine")
    assert store.read() == Entry(made.arn, deleted=True)
    store.restore()
    assert store.read() == made


def test_kms_key_is_used_when_the_secret_is_made(account: Account) -> None:
    store_of(account.aws(), {**SECRETS, "kms_key_id": "alias/mine"}).create("puller", NOTED)
    assert client("secretsmanager").describe_secret(SecretId="mine")["KmsKeyId"] == "alias/mine"


def test_binary_secret_is_refused_like_any_entry_of_somebody_else(account: Account) -> None:
    client("secretsmanager").create_secret(Name="mine", SecretBinary=b"topsecret")
    with pytest.raises(ConflictError, match="does not hold what this collection writes") as caught:
        store_of(account.aws(), SECRETS).read()
    assert "topsecret" not in str(caught.value)


# Parameter Store


def test_kms_key_is_named_whenever_a_parameter_is_written(account: Account) -> None:
    def key() -> str:
        return client("ssm").describe_parameters()["Parameters"][0]["KeyId"]

    made = store_of(account.aws(), SSM).create("puller", NOTED)
    assert made and key() == "alias/aws/ssm"
    store_of(account.aws(), {**SSM, "kms_key_id": "alias/mine"}).put(made, Entry(made.arn, KEY, NOW, None))
    assert key() == "alias/mine"


def test_value_that_a_late_write_replaced_is_put_back(account: Account) -> None:
    store = store_of(account.aws(), SSM)
    made = store.create("puller", NOTED)
    assert made

    def another_run() -> None:
        client("ssm").put_parameter(Name="/mine/key", Value="theirs", Overwrite=True)

    account.before["ssm:put_parameter"] = another_run
    assert store.put(made, Entry(made.arn, KEY, NOW)) is None
    assert client("ssm").get_parameter(Name="/mine/key", WithDecryption=True)["Parameter"]["Value"] == "theirs"


def test_value_that_a_late_write_replaces_in_a_deleted_parameter_does_not_come_back(account: Account) -> None:
    store = store_of(account.aws(), SSM)
    made = store.create("puller", NOTED)
    assert made
    account.before["ssm:put_parameter"] = store.delete
    assert store.put(made, Entry(made.arn, KEY, NOW)) is None
    assert store.read() is None


def test_value_that_looks_as_before_is_another_one_when_it_was_written_since(account: Account) -> None:
    store = store_of(account.aws(), SSM)
    made = store.create("puller", NOTED)
    free = made and store.put(made, Entry(made.arn, KEY, NOW))
    locked = free and store.put(free, free._replace(lock=NOW))
    assert free and locked and store.put(locked, locked._replace(lock=None))
    assert store.put(free, free._replace(lock=NOW)) is None


def test_parameter_is_encrypted(account: Account) -> None:
    store = store_of(account.aws(), SSM)
    made = store.create("puller", NOTED)
    assert made and store.put(made, Entry(made.arn, KEY, NOW, None))
    assert client("ssm").get_parameter(Name="/mine/key")["Parameter"]["Type"] == "SecureString"


def test_parameter_in_clear_text_is_refused(account: Account) -> None:
    client("ssm").put_parameter(Name="/mine/key", Value="topsecret", Type="String")
    with pytest.raises(ConflictError, match="has the type String, which is not encrypted") as caught:
        store_of(account.aws(), SSM).read()
    assert "topsecret" not in str(caught.value)


def test_parameter_that_is_made_twice_because_an_answer_was_lost_is_ours(account: Account) -> None:
    def first_try() -> None:
        client("ssm").put_parameter(**account.requests[-1][1])

    account.before["ssm:put_parameter"] = first_try
    store = store_of(account.aws(), SSM)
    made = store.create("puller", NOTED)
    assert made and made.arn == store.arn("aws", "123456789012") and store.read() == made


def test_parameter_that_cannot_be_read_at_once_is_waited_for(account: Account) -> None:
    account.before["ssm:get_parameter"] = refusal("ParameterNotFound")
    assert store_of(account.aws(), SSM).create("puller", NOTED)
    assert account.naps == [1.0]


def test_name_of_a_parameter_that_was_just_deleted_is_taken(account: Account) -> None:
    account.before["ssm:put_parameter"] = refusal("ParameterAlreadyExists")
    assert store_of(account.aws(), SSM).create("puller", NOTED) is None
    assert sum(account.naps) == 10.0
