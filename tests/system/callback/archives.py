# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets runs share the archives that Ansible makes of modules, and else packs anew in each run."""

from __future__ import annotations

import os

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: archives
type: aggregate
short_description: Share the archives of modules between runs
description:
  - Ansible finds those of earlier runs in the folder that E(ARCHIVES) names, and puts its own there.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "archives"

    def v2_playbook_on_start(self, playbook: object) -> None:
        os.symlink(os.environ["ARCHIVES"], os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
