# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: modules with the options of amazon.aws.

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .._core.module import CollectionModule


class AwsModule(AnsibleAWSModule):
    """An AnsibleAWSModule that ends as all modules of this collection do."""

    def __init__(self, **options: Any) -> None:
        AnsibleAWSModule.default_settings["module_class"] = CollectionModule  # it takes it from nowhere else
        super().__init__(**options)
