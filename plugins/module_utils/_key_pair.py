# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: an access key, apart from the client of AWS, so that who decides about one needs no boto3.

from __future__ import annotations

from typing import NamedTuple


class KeyPair(NamedTuple):
    """A long-lived AWS access key. Its secret shows in no representation."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"KeyPair({self.access_key_id})"
