# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import (
    GRANTED,
    MANAGED,
    Entry,
    KeyPair,
    KeyReservation,
    TokenRecord,
    decode,
    encode,
    keyless,
    token_records,
    young_until,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import ConflictError
from ansible_collections.gpuops.runpod.plugins.module_utils._core.time import format_time, parse_time

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mine-AbCdEf"
NOW = datetime(2026, 8, 1, 12, tzinfo=timezone.utc)
KEY = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOTE = KeyReservation(NOW, ("B", "A"))


@pytest.mark.parametrize(
    "entry",
    [
        Entry(ARN, KEY, NOW),
        Entry(ARN, pending=NOTE),
        Entry(ARN, KEY, NOW, NOTE),
        Entry(ARN, pending=NOTE._replace(abandoned=True)),
        Entry(ARN, KEY, NOW, lock=NOW),
        Entry(ARN, lock=NOW),
        Entry(ARN, KEY, NOW, NOTE, NOW),
    ],
)
def test_what_is_encoded_is_decoded(entry: Entry) -> None:
    expected = entry.pending and entry.pending._replace(known_key_ids=("A", "B"))
    assert decode(ARN, encode(entry, run="1")) == entry._replace(pending=expected)


def test_value_is_flat_so_that_other_tools_can_read_it() -> None:
    assert encode(Entry(ARN, KEY, NOW)) == (
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
        '{"lock": "topsecret"}',
        '{"lock": {"since": "topsecret"}}',
        '{"access_key_id": 5, "secret_access_key": "topsecret", "created": "2026-08-01T12:00:00Z"}',
        '{"access_key_id": "", "secret_access_key": "topsecret", "created": "2026-08-01T12:00:00Z"}',
        "[" * 100_000,
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
    assert token_records(tags) == {"reg1": TokenRecord(NOW, "AKIAIOSFODNN7EXAMPLE")}


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


def test_runs_tell_their_equal_notes_apart() -> None:
    for entry in (Entry(ARN, pending=NOTE), Entry(ARN, KEY, NOW, lock=NOW)):
        one, two = encode(entry, run="1"), encode(entry, run="2")
        assert one != two and decode(ARN, one) == decode(ARN, two)
