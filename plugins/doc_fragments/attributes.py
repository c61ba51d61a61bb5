# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """What every module of the collection supports."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict the result without writing anything.
    support: full
  diff_mode:
    description: Shows what changed, or would change, in diff mode. Secrets are masked.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    RUNPOD_GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/gpuops.runpod.runpod) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - gpuops.runpod.runpod
"""

    AWS_GROUP = r"""
options: {}
attributes:
  action_group:
    description: >-
      Use C(group/gpuops.runpod.aws) in C(module_defaults) to set the connection options once. The group includes
      C(group/amazon.aws.aws), so its defaults reach the modules of amazon.aws too.
    support: full
    membership:
      - gpuops.runpod.aws
"""

    BOTH_GROUPS = r"""
options: {}
attributes:
  action_group:
    description: >-
      Use C(group/gpuops.runpod.aws) and C(group/gpuops.runpod.runpod) in C(module_defaults) to set the connection
      options once.
    support: full
    membership:
      - gpuops.runpod.aws
      - gpuops.runpod.runpod
"""
