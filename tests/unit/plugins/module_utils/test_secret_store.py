# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws import KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._entry import (
    GRANTED,
    MANAGED,
    Entry,
    Freshness,
    Pending,
    decode,
    encode,
    format_time,
    freshness,
    keyless,
    parse_time,
    young_until,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._errors import AwsError, ConflictError, InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._secret_store import SecretsManager, store_of
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account, client, refusal

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mine-AbCdEf"
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOTE = Pending(NOW, ("B", "A"))
OPTIONS: dict[str, Any] = {"type": "secretsmanager", "name": "mine", "region": None, "kms_key_id": None, "tags": None}


@pytest.fixture
def store(account: Account) -> SecretsManager:
    return store_of(account.aws(), {**OPTIONS, "tags": {"cost": 7}})


@pytest.mark.parametrize(
    ("key", "created", "pending"),
    [(KEY, NOW, None), (None, None, NOTE), (KEY, NOW, NOTE), (None, None, NOTE._replace(abandoned=True))],
)
def test_what_is_encoded_is_decoded(key: KeyPair | None, created: datetime | None, pending: Pending | None) -> None:
    entry = decode(ARN, encode(key, created, pending))
    expected = pending and pending._replace(known_key_ids=("A", "B"))
    assert entry == Entry(ARN, key, created, expected)


def test_value_is_flat_so_that_other_tools_can_read_it() -> None:
    assert encode(KEY, NOW, None) == (
        '{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", '
        '"created": "2026-08-01T12:00:00Z"}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "topsecret",
        '"topsecret"',
        '["topsecret"]',
        "null",
        "{}",
        '{"password": "topsecret"}',
        '{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "topsecret"}',
        '{"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "topsecret", "created": "yesterday"}',
        '{"pending": {"since": "topsecret"}}',
        '{"pending": "topsecret"}',
    ],
)
def test_value_of_another_form_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConflictError, match="does not hold what this collection writes") as caught:
        decode(ARN, text)
    assert "topsecret" not in str(caught.value) and caught.value.__suppress_context__


def test_entry_does_not_show_its_secret() -> None:
    assert KEY.secret_access_key not in repr([Entry(ARN, KEY, NOW), {"held": KEY}])


def test_time_is_utc_in_whole_seconds() -> None:
    assert format_time(NOW.replace(microsecond=9)) == "2026-08-01T12:00:00Z"
    assert parse_time("2026-08-01T12:00:00Z") == NOW
    with pytest.raises(ValueError, match="does not match"):
        parse_time("2026-08-01")


def test_freshness_takes_its_own_tags_only() -> None:
    tags = {
        "gpuops.runpod/reg1": "2026-08-01T12:00:00Z AKIAIOSFODNN7EXAMPLE",
        "gpuops.runpod/reg2": "soon AKIAIOSFODNN7EXAMPLE",
        MANAGED: "puller",
        GRANTED: "2026-08-01T12:00:00Z",
        "team": "2026-08-01T12:00:00Z AKIAIOSFODNN7EXAMPLE",
    }
    assert freshness(tags) == {"reg1": Freshness(NOW, "AKIAIOSFODNN7EXAMPLE")}


@pytest.mark.parametrize(
    ("created", "granted", "expected"),
    [
        (None, None, None),
        (NOW, None, "2026-08-01T12:01:30Z"),
        (NOW, "2026-08-01T11:00:00Z", "2026-08-01T12:01:30Z"),
        (NOW, "2026-08-01T13:00:00Z", "2026-08-01T13:01:30Z"),
        (NOW, "nonsense", "2026-08-01T12:01:30Z"),
        (None, "2026-08-01T13:00:00Z", "2026-08-01T13:01:30Z"),
    ],
)
def test_young_until_the_later_of_key_and_rights(
    created: datetime | None, granted: str | None, expected: str | None
) -> None:
    moment = young_until(Entry(ARN, KEY, created), {GRANTED: granted} if granted else {}, 90)
    assert (moment and format_time(moment)) == expected


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "does not exist"),
        (Entry(ARN, deleted=True), "is being deleted"),
        (Entry(ARN, pending=NOTE), "holds no key yet"),
        (Entry(ARN, KEY, NOW), ""),
    ],
)
def test_keyless(entry: Entry | None, words: str) -> None:
    assert words in keyless(entry, "mine") and bool(keyless(entry, "mine")) is bool(words)


def test_entry_from_its_making_to_its_end(store: SecretsManager) -> None:
    assert store.read() is None
    arn = store.create("puller", NOTE)
    assert store.read() == Entry(arn, pending=NOTE._replace(known_key_ids=("A", "B")))
    assert store.tags() == {MANAGED: "puller", "cost": "7"}
    store.put(KEY, NOW, None)
    assert store.read() == Entry(arn, KEY, NOW)
    store.tag({"one": "1", "two": "2"})
    store.untag(["one"])
    assert store.tags() == {MANAGED: "puller", "cost": "7", "two": "2"}
    store.delete()
    assert store.read() is None
    store.create("puller", NOTE)  # the name is free at once


def test_second_maker_of_an_entry_learns_that_it_lost(store: SecretsManager) -> None:
    store.create("puller", NOTE)
    with pytest.raises(AwsError) as caught:
        store.create("puller", NOTE)
    assert caught.value.code == "ResourceExistsException"


def test_entry_in_its_recovery_window_is_seen_and_restored(store: SecretsManager) -> None:
    arn = store.create("puller", NOTE)
    client("secretsmanager").delete_secret(SecretId="mine")
    assert store.read() == Entry(arn, deleted=True)
    store.restore()
    assert store.read() == Entry(arn, pending=NOTE._replace(known_key_ids=("A", "B")))


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "InvalidRequestException"])
def test_only_a_definite_answer_means_that_there_is_no_entry(
    account: Account, store: SecretsManager, code: str
) -> None:
    account.before["secretsmanager:get_secret_value"] = refusal(code)
    with pytest.raises(AwsError, match=code):
        store.read()


def test_options_of_the_store(account: Account) -> None:
    aws = account.aws("eu-west-1")
    assert store_of(aws, {**OPTIONS, "name": None}, "puller").name == "runpod-ecr/puller"
    assert store_of(aws, OPTIONS, "puller").name == "mine"
    assert store_of(aws, OPTIONS).region == "eu-west-1"
    assert store_of(aws, {**OPTIONS, "region": "us-west-2"}).region == "us-west-2"
    with pytest.raises(InputError, match="needs a name"):
        store_of(aws, {**OPTIONS, "name": None})
    with pytest.raises(InputError, match="gpuops.runpod/x"):
        store_of(aws, {**OPTIONS, "tags": {"gpuops.runpod/x": "1"}})


def test_kms_key_is_used_when_the_entry_is_made(account: Account) -> None:
    store_of(account.aws(), {**OPTIONS, "kms_key_id": "alias/mine"}).create("puller", NOTE)
    assert client("secretsmanager").describe_secret(SecretId="mine")["KmsKeyId"] == "alias/mine"
