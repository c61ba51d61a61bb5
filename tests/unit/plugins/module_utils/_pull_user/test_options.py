# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.inventory import check
from ansible_collections.gpuops.runpod.plugins.module_utils._pull_user.options import check_options

GOOD: dict[str, Any] = {
    "name": "puller",
    "path": "/runpod/",
    "permissions_boundary": None,
    "rotate_after_days": 90,
    "retire_after_hours": 24,
    "propagation_timeout": 90,
}
INFO: dict[str, Any] = {
    "name": None,
    "path_prefix": None,
    "events": None,
    "secret_store": None,
    "rotate_after_days": None,
}


@pytest.mark.parametrize("name", ["rotate_after_days", "retire_after_hours", "propagation_timeout"])
@pytest.mark.parametrize("value", [10**12, -1])
def test_number_that_no_clock_takes_is_refused_by_its_name(name: str, value: int) -> None:
    check_options(GOOD)
    with pytest.raises(InputError, match=f"{name} is {value}: it must be at "):
        check_options({**GOOD, name: value})


@pytest.mark.parametrize("name", ["", "a b", "a\0b", "x" * 65, "ü", "a\n", "a/b"])
def test_name_that_iam_does_not_take_is_refused(name: str) -> None:
    for use in (lambda: check_options({**GOOD, "name": name}), lambda: check({**INFO, "name": name})):
        with pytest.raises(InputError, match="an IAM user's name is 1 to 64"):
            use()


@pytest.mark.parametrize("path", ["", "runpod", "/runpod", "runpod/", "/run\0pod/", "/run pod/", "//\n"])
def test_path_that_iam_does_not_take_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="path .* must begin and end with a slash"):
        check_options({**GOOD, "path": path})
    check_options({**GOOD, "path": "/"})


def test_path_prefix_with_a_nul_and_an_age_without_end_are_refused() -> None:
    with pytest.raises(InputError, match="path_prefix .* printable ASCII"):
        check({**INFO, "path_prefix": "/run\0pod/"})
    with pytest.raises(InputError, match="rotate_after_days is 1000000000000: it must be at most"):
        check({**INFO, "name": "puller", "rotate_after_days": 10**12})


@pytest.mark.parametrize(
    "arn", ["x", "arn:aws:iam::1:policy/x", "arn:aws:iam::123456789012:role/x", "`id`", "a" * 3000]
)
def test_a_boundary_that_is_no_policy_is_refused(arn: str) -> None:
    with pytest.raises(InputError, match="permissions_boundary .* must be the ARN of a policy"):
        check_options({**GOOD, "permissions_boundary": arn})


@pytest.mark.parametrize(
    "arn", ["", "arn:aws:iam::aws:policy/PowerUserAccess", "arn:aws-cn:iam::123456789012:policy/team/bound"]
)
def test_a_boundary_is_a_policy_of_anybody_or_none(arn: str) -> None:
    check_options({**GOOD, "permissions_boundary": arn})
