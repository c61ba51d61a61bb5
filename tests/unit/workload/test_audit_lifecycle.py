# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When lifecycle rules take an image."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._workload.audit_lifecycle import Expiry, lifecycle_end

Json = dict[str, Any]

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=timezone.utc)
IMAGES: list[Json] = [
    {"imageDigest": "old", "imageTags": ["v1"], "imagePushedAt": NOW - timedelta(days=10)},
    {"imageDigest": "new", "imageTags": ["v2", "prod-2"], "imagePushedAt": NOW - timedelta(days=1)},
    {"imageDigest": "loose", "imagePushedAt": NOW - timedelta(days=2)},
    {"imageDigest": "unknown"},
]


def rule(priority: int = 1, action: str = "expire", **selection: Any) -> Json:
    return {"rulePriority": priority, "selection": selection, "action": {"type": action}}


def by_age(days: int, **selection: Any) -> Json:
    return rule(countType="sinceImagePushed", countNumber=days, **{"tagStatus": "any", **selection})


def by_count(number: int, priority: int = 1, **selection: Any) -> Json:
    return rule(priority, countType="imageCountMoreThan", countNumber=number, **{"tagStatus": "any", **selection})


@pytest.mark.parametrize(
    ("rules", "digest", "moment"),
    [
        ([], "old", None),
        ([by_age(14)], "old", NOW + timedelta(days=4)),
        ([by_age(90)], "old", None),
        ([by_age(14, tagStatus="untagged")], "old", None),
        ([by_age(14, tagStatus="tagged", tagPrefixList=["v1"])], "old", NOW + timedelta(days=4)),
        ([by_age(14, tagStatus="tagged", tagPatternList=["prod-*"])], "old", None),
        ([by_age(14, tagStatus="tagged", tagPatternList=["prod-*"])], "new", NOW + timedelta(days=13)),
        ([by_count(1)], "old", NOW),
        ([by_count(1)], "new", None),
        ([by_count(2)], "old", NOW),
        ([by_age(1, tagStatus="untagged"), by_count(2, priority=2)], "old", None),
        ([rule(countType="sinceImagePulled", countNumber=1, tagStatus="any")], "old", None),
        ([rule(action="transition", countType="sinceImagePushed", countNumber=1, tagStatus="any")], "old", None),
    ],
)
def test_the_rules_tell_when_an_image_goes(rules: list[Json], digest: str, moment: datetime | None) -> None:
    found = lifecycle_end(json.dumps({"rules": rules}), IMAGES, digest, NOW)
    assert found == (Expiry(moment, "1") if moment else None)


@pytest.mark.parametrize("text", ["", "[]", '{"rules": [{}]}', '{"rules": 1}'])
def test_what_is_no_policy_takes_nothing(text: str) -> None:
    assert lifecycle_end(text, IMAGES, "old", NOW) is None
