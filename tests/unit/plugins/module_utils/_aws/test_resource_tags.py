# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gpuops.runpod.plugins.module_utils._aws.resource_tags import MOST, check_tags
from ansible_collections.gpuops.runpod.plugins.module_utils._core.errors import InputError

REFUSED = [
    ({"": "x"}, "takes no tag"),
    ({"k" * 129: "x"}, "takes no tag"),
    ({"AWS:x": "x"}, "takes no tag"),
    ({"{{ x }}": "x"}, "takes no tag"),
    ({"a\nb": "x"}, "takes no tag"),
    ({"k": "v" * 257}, r"tags\.k: AWS takes no value"),
    ({"k": "\x1b"}, "takes no value"),
    ({f"k{number}": "" for number in range(MOST + 1)}, "41 tags are too many"),
    ({"team": "x", "Team": "y"}, "differ in case alone"),
]


@pytest.mark.parametrize(("tags", "message"), REFUSED)
def test_tags_that_aws_refuses_are_refused_by_their_option(tags: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"tags.*{message}|{message}"):
        check_tags("tags", tags)


def test_tags_at_the_limits_are_taken() -> None:
    check_tags("tags", {"k" * 128: "v" * 256, "équipe à 1": "_.:/=+-@", **{f"k{n}": "" for n in range(MOST - 2)}})
