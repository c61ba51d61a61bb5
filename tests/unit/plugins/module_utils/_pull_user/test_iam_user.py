# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.secret_entry import Entry, KeyPair
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import AwsError, ConflictError, InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.access_keys import AccessKey
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.iam_user import (
    UserChange,
    UserState,
    check_user,
    create_user,
    find_keys,
    find_user,
    marked_keys,
    plan_marks,
    plan_user,
    user_after,
)
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.principal import Principal
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.principal_fields import delete_principal
from ansible_collections.gpuops.runpod.tests.unit.plugins.fake_aws import Account, client, refusal

NOW = datetime(2026, 8, 1, tzinfo=timezone.utc)
ID, OTHER = "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"
SECRET = "gpuops.runpod/secret"
STORE = "arn:aws:secretsmanager:us-east-1:123456789012:secret:runpod-ecr/puller"
ENTRY = Entry(STORE + "-AbCdEf", KeyPair(ID, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), NOW)
USER: dict[str, Any] = {
    "name": "puller",
    "arn": "arn:aws:iam::123456789012:user/runpod/puller",
    "path": "/runpod/",
    "tags": {"gpuops.runpod/managed": "true", "team": "x", ID: "a laptop", "aws:made-by": "stack"},
    "permissions_boundary": "arn:aws:iam::123456789012:policy/limit",
}


def params(**changes: Any) -> dict[str, Any]:
    return {"path": "/runpod/", "permissions_boundary": None, "user_tags": None, "purge_tags": True, **changes}


@pytest.mark.parametrize(
    ("user", "options", "change"),
    [
        (None, {}, UserChange(True, "/runpod/", None, {"gpuops.runpod/managed": "true"})),
        (None, {"permissions_boundary": ""}, UserChange(True, "/runpod/", None, {"gpuops.runpod/managed": "true"})),
        (
            None,
            {"permissions_boundary": "b", "user_tags": {"cost": 7}},
            UserChange(True, "/runpod/", "b", {"gpuops.runpod/managed": "true", "cost": "7"}),
        ),
        (USER, {}, UserChange()),
        (USER, {"path": "/team/"}, UserChange(path="/team/")),
        (USER, {"permissions_boundary": USER["permissions_boundary"]}, UserChange()),
        (USER, {"permissions_boundary": "b"}, UserChange(permissions_boundary="b")),
        (USER, {"permissions_boundary": ""}, UserChange(permissions_boundary="")),
        ({**USER, "permissions_boundary": None}, {"permissions_boundary": ""}, UserChange()),
        (USER, {"user_tags": {"team": "x"}}, UserChange()),
        (USER, {"user_tags": {"team": "y"}}, UserChange(tag={"team": "y"})),
        (USER, {"user_tags": {}}, UserChange(untag=("team",))),
        (USER, {"user_tags": {}, "purge_tags": False}, UserChange()),
    ],
)
def test_plan_user(user: dict[str, Any] | None, options: dict[str, Any], change: UserChange) -> None:
    assert plan_user(user, params(**options)) == change


@pytest.mark.parametrize("name", ["gpuops.runpod/secret", "gpuops.runpod/mine", ID])
def test_names_of_tags_with_a_meaning_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        plan_user(None, params(user_tags={name: "x", "team": "x"}))


def test_user_after_a_change() -> None:
    found = UserState("aws", "123456789012", USER, None, (), None)
    change = UserChange(path="/team/", permissions_boundary="", tag={"team": "y", "cost": "7"}, untag=(ID,))
    assert user_after(found, "puller", change) == {
        "name": "puller",
        "arn": "arn:aws:iam::123456789012:user/team/puller",
        "path": "/team/",
        "tags": {"gpuops.runpod/managed": "true", "team": "y", "cost": "7", "aws:made-by": "stack"},
        "permissions_boundary": None,
    }
    assert user_after(found, "puller", UserChange()) == USER


def test_marks_are_told_from_descriptions() -> None:
    assert marked_keys({ID: "gpuops.runpod", OTHER: "a laptop", "team": "gpuops.runpod"}) == {ID}


@pytest.mark.parametrize(
    ("tags", "entry", "keys", "tag", "untag"),
    [
        ({}, ENTRY, [ID], {SECRET: ENTRY.arn, ID: "gpuops.runpod"}, ()),
        ({SECRET: ENTRY.arn, ID: "gpuops.runpod"}, ENTRY, [ID], {}, ()),
        ({SECRET: STORE + "-former"}, ENTRY._replace(key=None), [], {SECRET: ENTRY.arn}, ()),
        ({SECRET: ENTRY.arn, ID: "a laptop"}, ENTRY, [ID], {ID: "gpuops.runpod"}, ()),
        ({SECRET: ENTRY.arn, ID: "gpuops.runpod", OTHER: "gpuops.runpod"}, ENTRY, [ID], {}, (OTHER,)),
        ({SECRET: ENTRY.arn, ID: "gpuops.runpod", OTHER: "gpuops.runpod"}, ENTRY, [ID, OTHER], {}, ()),
        ({SECRET: ENTRY.arn, ID: "gpuops.runpod", OTHER: "a laptop"}, None, [], {}, (ID, SECRET)),
        ({}, None, [], {}, ()),
    ],
)
def test_plan_marks(
    tags: dict[str, str], entry: Entry | None, keys: list[str], tag: dict[str, str], untag: tuple[str, ...]
) -> None:
    listed = tuple(AccessKey(key, "Active", NOW) for key in keys)
    assert plan_marks(tags, entry, listed) == (tag, untag)


@pytest.mark.parametrize("recorded", [{}, {SECRET: STORE + "-AbCdEf"}])
def test_user_with_its_own_store_or_none_passes(recorded: dict[str, str]) -> None:
    check_user({**USER, "tags": {**USER["tags"], **recorded}}, STORE)


def test_only_the_random_suffix_of_a_recorded_store_is_ignored() -> None:
    user = {**USER, "tags": {**USER["tags"], SECRET: STORE + "-access-AbCdEf"}}
    check_user(user, STORE + "-access")
    with pytest.raises(ConflictError, match="secret_store means"):
        check_user(user, STORE)


def test_parameter_has_no_random_suffix_to_ignore() -> None:
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/runpod-ecr/puller"
    user = {**USER, "tags": {**USER["tags"], SECRET: parameter + "-second"}}
    check_user(user, parameter + "-second")
    with pytest.raises(ConflictError, match="secret_store means"):
        check_user(user, parameter)


def test_user_in_the_answer_under_another_spelling_is_refused(account: Account) -> None:
    client("iam").create_user(UserName="Puller")
    account.get_user = lambda moto, request: moto.get_user(UserName="Puller")  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="set name to 'Puller'"):
        find_user(account.aws(), "puller")


def test_key_that_was_never_used_has_no_last_use(account: Account) -> None:
    client("iam").create_user(UserName="puller")
    made = client("iam").create_access_key(UserName="puller")["AccessKey"]
    assert find_keys(account.aws(), "puller") == (AccessKey(made["AccessKeyId"], "Active", made["CreateDate"], None),)


def test_user_that_may_not_be_made_or_removed_is_an_error(account: Account) -> None:
    account.before["iam:create_user"] = refusal("AccessDenied", 403)
    with pytest.raises(AwsError, match="iam:CreateUser: AccessDenied"):
        create_user(account.aws(), "puller", UserChange(True, "/runpod/"))
    client("iam").create_user(UserName="puller")
    account.before["iam:delete_user"] = refusal("AccessDenied", 403)
    with pytest.raises(AwsError, match="iam:DeleteUser: AccessDenied"):
        delete_principal(account.aws(), Principal("user", "puller"))
    assert [user["UserName"] for user in client("iam").list_users()["Users"]] == ["puller"]
