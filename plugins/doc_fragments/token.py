# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """When a token is refreshed, whatever receives it."""

    DOCUMENTATION = r"""
options:
  min_validity_hours:
    description:
      - Refresh the token when it works for less than this many hours. More than 0 and less than 12, which is how long a
        token lives.
      - At least twice the interval between two runs lets one run be missed.
    type: float
    default: 9
  force:
    description: Whether to refresh a fresh token too.
    type: bool
    default: false
  propagation_timeout:
    description:
      - Seconds after the key was made, or after the pull user's rights last grew, for which a refusal by AWS only means
        that this has not arrived everywhere. 0 to 3600.
    type: int
    default: 90
"""
