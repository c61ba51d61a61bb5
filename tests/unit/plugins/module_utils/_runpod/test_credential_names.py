# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._runpod.credential_names import default_names

ACCOUNT = "123456789012"


def names(*listed: str, user: str = "runpod-pull", account: str = ACCOUNT) -> dict[str, tuple[str, str]]:
    return default_names([{"id": name, "name": name} for name in listed], user, account)


def test_default_names_are_told_with_their_region_and_without_the_mark_of_an_alternate() -> None:
    name = f"runpod-pull-{ACCOUNT}-us-gov-west-1"
    assert names(name, f"{name}-alt") == {each: ("us-gov-west-1", name) for each in (name, f"{name}-alt")}
    assert names(f"other-{name}", f"{name}-old", "runpod-pull-us-gov-west-1") == {}


@pytest.mark.parametrize("odd", ["[}-(", "(", "*", ".{12}", "\\"])
def test_user_and_account_are_texts_and_no_patterns(odd: str) -> None:
    name = f"{odd}-{odd}-eu-central-1"
    assert names(name, user=odd, account=odd) == {name: ("eu-central-1", name)}
    assert names(f"runpod-pull-{ACCOUNT}-eu-central-1", account=odd) == {}
