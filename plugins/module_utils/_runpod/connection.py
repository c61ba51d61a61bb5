# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, env_fallback

from .._core.errors import Json
from .client import Client, opener

# Mirrored by the documentation fragment gpuops.runpod.runpod.
ARGUMENTS: Json = {
    "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["RUNPOD_API_KEY"])},
    "api_url": {
        "type": "str",
        "default": "https://api.runpod.io/v2",
        "fallback": (env_fallback, ["RUNPOD_API_BASE_URL"]),
    },
    "api_timeout": {"type": "int", "default": 30},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
}


def runpod_client(module: AnsibleModule) -> Client:
    params = module.params
    return Client(params["api_url"], params["api_key"], opener(params), timeout=params["api_timeout"])
