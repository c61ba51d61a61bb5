# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the store and the entry that options name.

from __future__ import annotations

from .._core.errors import InputError, Json
from .client import Aws
from .parameter_store import ParameterStore
from .resource_tags import check_tags
from .secret_entry import OURS, Entry, is_busy
from .secret_store import SecretStore
from .secrets_manager import SecretsManager


def read_with_key(store: SecretStore, propagation_timeout: float) -> Entry | None:
    """Return the entry; a run that is making its key gets the time for that."""
    aws, pause = store.aws, 1.0
    entry = store.read()
    while entry and not entry.key and is_busy(entry, aws.clock(), propagation_timeout):
        aws.sleep(pause)
        pause = min(pause * 2, 8.0)
        entry = store.read()
    return entry


STORES: dict[str, type[SecretStore]] = {"secretsmanager": SecretsManager, "ssm": ParameterStore}


def store_of(aws: Aws, options: Json, user: str | None = None) -> SecretStore:
    """Return the store of the option; without a name, the user's default entry."""
    kind = STORES[options["type"]]
    name = options["name"] or (f"{kind.FOLDER}{user}" if user else None)
    if not name:
        raise InputError("secret_store needs a name: that of the entry which ecr_pull_user made.")
    if not kind.NAME.fullmatch(name):
        raise InputError(f"secret_store.name: {kind.TITLE} takes no entry {name!r}, but {kind.NAME_RULE}.")
    tags = {key: str(value) for key, value in (options["tags"] or {}).items()}
    reserved = sorted(key for key in tags if key.startswith(OURS))
    if reserved:
        raise InputError(
            f"secret_store.tags: {', '.join(reserved)}: names that start with {OURS} are this collection's."
        )
    check_tags("secret_store.tags", tags)
    return kind(aws, name, options["region"] or aws.region, options["kms_key_id"], tags)
