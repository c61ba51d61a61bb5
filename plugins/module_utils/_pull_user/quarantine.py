# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection. The deny outweighs rights that others gave, and ends tokens already handed out, which have
# the user's rights.

from __future__ import annotations

from .._aws.client import Aws, tolerating
from .._aws.policy_document import compact
from .._aws.secret_entry import QUARANTINED, Entry
from .._core.errors import InputError, Json
from .._core.finding import FORMATTER
from .._core.result import Result
from .._core.time import format_time
from . import policy_read
from . import pull_policy as _policy
from .access_keys import ACTIVE, FOREIGN
from .entry_lock import KeyContext
from .iam_user import UserState, check_entry, check_user, find_keys, find_user
from .key_rotation import deactivate_keys
from .policy_read import find_document
from .policy_state import DENY
from .principal import Principal
from .principal_fields import tags_after, write_tags
from .user_result import build_result, owners_of

DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Quarantine", "Effect": "Deny", "Action": "*", "Resource": "*"}],
}

FOREIGN_STAY = (
    "The user {user} has active access keys that this collection did not make and leaves as they are: {keys}. They "
    "have no rights while it is quarantined. To deactivate one: aws iam update-access-key --user-name{user!o} "
    "--status Inactive --access-key-id ID"
)


def run(context: KeyContext, params: Json, check_mode: bool) -> Result:
    """Take the rights, which needs nothing of the store, then deactivate our keys.

    No lock is waited for: the deny outweighs whatever another run grants.
    """
    aws, name = context.aws, context.user
    user = find_user(aws, name)
    if user is None:
        raise InputError(f"There is no IAM user {name} to quarantine.")
    arn = user["arn"].split(":")
    check_user(user, context.store.arn(partition=arn[1], account=arn[4]))
    inline = find_document(aws, context.principal, _policy.NAME)
    denied = is_denied(aws, context.principal) and inline is None
    tag = {} if QUARANTINED in user["tags"] else {QUARANTINED: format_time(aws.clock())}
    if not check_mode:
        if not denied:
            deny(aws, context.principal)
        write_tags(aws, context.principal, tag, ())
    before = read(context, user)
    before = before._replace(policies=before.policies._replace(inline=inline))
    whose = owners_of(before)
    active = [key.id for key in before.keys if key.status == ACTIVE]
    ours = tuple(key_id for key_id in active if whose[key_id] != FOREIGN)
    if not check_mode:
        deactivate_keys(aws, name, ours)
    tagged = tell_readers(context, before.entry, check_mode)
    after = before._replace(
        user={**user, "tags": tags_after(user["tags"], tag, ())},
        policies=before.policies._replace(inline=None),
        keys=tuple(key._replace(status="Inactive") if key.id in ours else key for key in before.keys),
    )
    foreign = [key_id for key_id in active if key_id not in ours]
    warnings = (FORMATTER.format(FOREIGN_STAY, user=name, keys=", ".join(foreign)),) if foreign else ()
    return build_result(context, params, bool(not denied or tag or ours or tagged), before, after, warnings=warnings)


def read(context: KeyContext, user: Json) -> UserState:
    aws, store, arn = context.aws, context.store, user["arn"].split(":")
    policies = policy_read.read_policies(aws, context.principal, user)
    entry = store.read()
    keys = find_keys(aws, context.user)
    if entry:
        check_entry(store, entry, context.user, user)
    return UserState(arn[1], arn[4], user, policies, keys, entry)


def tell_readers(context: KeyContext, entry: Entry | None, check_mode: bool) -> bool:
    """Tag the entry, since readers of the key do not ask IAM. Return whether that was needed."""
    if entry is None or entry.deleted or QUARANTINED in context.store.tags():
        return False
    if not check_mode:
        context.store.tag({QUARANTINED: format_time(context.aws.clock())})
    return True


def is_denied(aws: Aws, principal: Principal) -> bool:
    document = find_document(aws, principal, DENY)
    return document is not None and not _policy.differs(document, DOCUMENT)


def deny(aws: Aws, principal: Principal) -> None:
    """Our policy goes before: both may not fit into what IAM allows."""
    remove_policy(aws, principal, _policy.NAME)
    principal.call(aws, "put_{}_policy", PolicyName=DENY, PolicyDocument=compact(DOCUMENT))


def remove_policy(aws: Aws, principal: Principal, name: str) -> None:
    with tolerating("NoSuchEntity"):
        principal.call(aws, "delete_{}_policy", PolicyName=name)
