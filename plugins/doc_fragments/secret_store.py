# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """The option secret_store; mirrors STORE_OPTIONS in module_utils/_secret_store.py."""

    DOCUMENTATION = r"""
options:
  secret_store:
    description:
      - The entry of a secret store that holds the pull user's access key.
      - Its value is flat JSON with C(access_key_id), C(secret_access_key) and C(created). The modules read and write it
        themselves; the secret is never returned, shown or given to RunPod.
      - A tag named C(gpuops.runpod/) and the id of a RunPod credential says until when the token there works.
    type: dict
    suboptions:
      type:
        description: The kind of store. V(secretsmanager) is AWS Secrets Manager.
        type: str
        choices: [secretsmanager]
        default: secretsmanager
      name:
        description: Name of the entry.
        type: str
      region:
        description: Region of the store. When not set, the module's region.
        type: str
      kms_key_id:
        description:
          - KMS key that encrypts the entry. Used only when the entry is made.
          - When not set, the store's default key.
        type: str
      tags:
        description: Tags of the entry. Used only when the entry is made. Names cannot start with C(gpuops.runpod/).
        type: dict
"""
