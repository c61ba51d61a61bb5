# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: shuts a pull user off in an incident, and lets it go again. Whatever rights others gave
# the user, the deny outweighs them, and tokens already handed out have the rights of the user.

from __future__ import annotations

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact
from .._aws.secret_entry import QUARANTINED
from .._aws.secret_store import SecretStore
from . import pull_policy as _policy
from .iam_user import write_tags
from .policy_attachment import DENY, find_document

DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Quarantine", "Effect": "Deny", "Action": "*", "Resource": "*"}],
}


def is_denied(aws: Aws, user: str) -> bool:
    """Return whether the policy that denies everything is there, and as it should be."""
    document = find_document(aws, user, DENY)
    return document is not None and not _policy.differs(document, DOCUMENT)


def deny(aws: Aws, user: str) -> None:
    """Deny the user everything. Our policy goes before, since both together may not fit into what IAM allows."""
    remove_policy(aws, user, _policy.NAME)
    aws.call("iam", "put_user_policy", UserName=user, PolicyName=DENY, PolicyDocument=compact(DOCUMENT))


def untag(aws: Aws, store: SecretStore, user: str, entry_is_there: bool) -> None:
    """Drop the tags; the user's goes last, so that a release which dies before can be finished."""
    if entry_is_there:
        store.untag([QUARANTINED])
    write_tags(aws, user, {}, (QUARANTINED,))


def remove_policy(aws: Aws, user: str, name: str) -> None:
    """Remove an inline policy; one that is gone already is as good."""
    with tolerating("NoSuchEntity"):
        aws.call("iam", "delete_user_policy", UserName=user, PolicyName=name)
