# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """The options of every module that talks to RunPod; mirrors ARGUMENTS in module_utils/_runpod/connection.py."""

    DOCUMENTATION = r"""
options:
  api_key:
    description:
      - RunPod API key. It needs the scopes that the module's notes name.
      - The environment variable E(RUNPOD_API_KEY) is used when this is not set. One of them is required.
    type: str
  api_url:
    description:
      - Address of RunPod's API v2, with or without C(/v2) at its end, and without a user or password.
      - The environment variable E(RUNPOD_API_BASE_URL) is used when this is not set.
    type: str
    default: https://api.runpod.io/v2
  api_timeout:
    description: Seconds in which an answer has to be complete before a request counts as lost, 1 to 3600.
    type: int
    default: 30
  validate_certs:
    description: Whether TLS certificates are checked.
    type: bool
    default: true
  ca_path:
    description: Path of a file with the certificates of the authorities to trust, for a proxy with its own authority.
    type: path
notes:
  - Requests are repeated only where a second time does no harm.
  - RunPod's C(RateLimit) and C(Retry-After) are honoured. Before a quota is spent, the module waits up to 90 seconds
    for a fresh one and leaves room to others who use the same key. A quota of an hour or a day that is spent for
    longer is an error at once.
  - Proxies are taken from the environment. A C(.netrc) file is never read and a redirect is never followed, because
    both would touch the API key.
requirements:
  - python >= 3.10
"""
