# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection; free of boto3, which no filter loads.

from __future__ import annotations

from .._core.errors import Json

# Mirrored by the documentation fragment gpuops.runpod.secret_store.
STORE_OPTIONS: Json = {
    "type": {"type": "str", "choices": ["secretsmanager", "ssm"], "default": "secretsmanager"},
    "name": {"type": "str"},
    "region": {"type": "str"},
    "kms_key_id": {"type": "str", "no_log": False},
    "tags": {"type": "dict"},
}
