# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what IAM and the secret stores refuse of tags, told before anything is written.

from __future__ import annotations

import re
from collections.abc import Mapping

from .._core.errors import InputError

MOST = 40  # AWS allows 50, of which this leaves some to the collection's own
KEY = re.compile(r"(?!aws:)[\w\s+\-=.:/@]{1,128}", re.IGNORECASE)
VALUE = re.compile(r"[\w\s+\-=.:/@]{0,256}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_tags(option: str, tags: Mapping[str, str]) -> None:
    """Raise InputError, which names the option."""
    for key, value in tags.items():
        if not KEY.fullmatch(key) or CONTROL.search(key):
            raise InputError(
                f"{option}: AWS takes no tag {key!r}, but 1 to 128 letters, digits, blanks and _.:/=+-@ that do not "
                "begin with aws:."
            )
        if not VALUE.fullmatch(value) or CONTROL.search(value):
            raise InputError(
                f"{option}.{key}: AWS takes no value {value!r}, but up to 256 letters, digits, blanks and _.:/=+-@."
            )
    if len(tags) > MOST:
        raise InputError(f"{option}: {len(tags)} tags are too many: {MOST} fit beside the collection's own.")
    if len({key.lower() for key in tags}) < len(tags):
        raise InputError(f"{option}: AWS does not tell tags apart whose keys differ in case alone.")
