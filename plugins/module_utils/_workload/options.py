# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from .._core.errors import Json
from .._pull_user.trust import OPTIONS as TRUST

OPTIONS: Json = {
    "intent": {
        "type": "str",
        "choices": ["converge", "refresh", "rotate", "quarantine", "absent"],
        "default": "converge",
    },
    "access": {"type": "str", "choices": ["credential", "delegation", "public"], "default": "credential"},
    "image": {"type": "str"},
    "template": {"type": "dict"},
    "endpoint": {"type": "dict"},
    "workloads": {"type": "list", "elements": "dict"},
    "pull_identity": {"type": "str", "choices": ["user", "role", "caller"], "default": "user"},
    "user_name": {"type": "str", "default": "runpod-ecr-access"},
    "user_path": {"type": "str", "default": "/runpod/"},
    "user_tags": {"type": "dict"},
    "user_permissions_boundary": {"type": "str"},
    "user_policy": {"type": "str", "choices": ["repositories", "pull_only", "read_only"], "default": "repositories"},
    "user_repositories": {"type": "list", "elements": "str"},
    "purge_repositories": {"type": "bool", "default": False},
    "role_name": {"type": "str", "default": "runpod-ecr-access"},
    "role_trust": {"type": "list", "elements": "dict", "options": TRUST},
    "role_arn": {"type": "str"},
    "role_external_id": {"type": "str"},
    "rotate_after_days": {"type": "int", "default": 90},
    "retire_after_hours": {"type": "int", "default": 24},
    "release_quarantine": {"type": "bool", "default": False},
    "min_validity_hours": {"type": "float", "default": 9},
    "credential_name": {"type": "str", "no_log": False},
    "verify": {"type": "bool", "default": True},
    "pull_role_arns": {"type": "list", "elements": "str"},
    "acknowledge_public": {"type": "bool", "default": False},
    "public_repository": {"type": "str"},
    "public_catalog_data": {"type": "dict"},
    "public_force": {"type": "bool", "default": False},
    "allow_suspected_secrets": {"type": "bool", "default": False, "no_log": False},
    "adopt": {"type": "bool", "default": False},
    "retire_former_identity": {"type": "bool", "default": False},
    "propagation_timeout": {"type": "int", "default": 90},
    "variables": {"type": "list", "elements": "str"},
}
