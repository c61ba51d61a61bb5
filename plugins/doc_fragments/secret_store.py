# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """The option secret_store; mirrors STORE_OPTIONS in module_utils/_aws/store_options.py."""

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
        description:
          - The kind of store. V(secretsmanager) is AWS Secrets Manager, V(ssm) a C(SecureString) in the Parameter Store
            of AWS Systems Manager.
          - To change the kind of an existing user, remove its key with the former kind first.
        type: str
        choices: [secretsmanager, ssm]
        default: secretsmanager
      name:
        description:
          - Name of the entry.
          - A name in V(secretsmanager) has up to 512 letters, digits and characters of V(/_+=.@-).
          - A name in V(ssm) has up to 940 letters, digits and characters of V(_.-), in up to 15 levels that each start
            with a V(/), or without any V(/). It must not start with C(aws) or C(ssm).
        type: str
      region:
        description: Region of the store. When not set, the module's region.
        type: str
      kms_key_id:
        description:
          - KMS key that encrypts the entry. When not set, the store's default key.
          - In V(secretsmanager) it is used only when the entry is made. In V(ssm) each write uses it, so leave it set.
          - Whoever writes or reads the entry needs C(kms:Decrypt) on a key of your own, and to write it
            C(kms:GenerateDataKey) with V(secretsmanager) or C(kms:Encrypt) with V(ssm).
        type: str
      tags:
        description: Tags of the entry. Used only when the entry is made. Names cannot start with C(gpuops.runpod/).
        type: dict
"""
