# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible.module_utils.testing offers, which ansible-core has since 2.19."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ansible.module_utils import basic


@contextmanager
def patch_module_args(args: dict[str, Any]) -> Iterator[None]:
    """Let a module that is made within take these options."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
    with (
        patch.object(basic, "_ANSIBLE_ARGS", given),
        patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True),
    ):
        yield
