# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table: what is sabotaged, and what an audit is to say of it."""

from __future__ import annotations

from typing import Any

from tests.sandbox.runpod_delegations import PULL_ROLES
from tests.system.conftest import IMAGE, SEOUL

from . import sabotages as s
from .bases import SERVED, TRAINING
from .sabotages import DENIED, EAST, EXPIRED, FORBIDDEN, OTHER, SEOULS, Bound, Case, Links, Sabotage, at, both

V2 = IMAGE.replace(":v1", ":v2")
NOWHERE = IMAGE.replace(":v1", ":v9")
FAR = IMAGE.replace("us-east-1", "eu-west-1")
FOREIGN = IMAGE.replace("123456789012", "210987654321")
IN_PUBLIC = "public.ecr.aws/a1b2c3d4/nothing:v1"
SEOUL_OLD = SEOUL.replace(":v1", ":v0")


def having(function: Any, *arguments: Any, **options: Any) -> Sabotage:
    """Return a sabotage with what it needs besides the house."""
    return Bound(function, arguments, options)


def case(
    base: str, status: str, links: Links, *sabotages: Sabotage, by_hand: tuple[Sabotage, ...] = (), elsewhere: Any = ()
) -> Case:
    return Case(base, sabotages, links, status, by_hand, tuple(elsewhere))


def red(base: str, links: Links, *sabotages: Sabotage, **more: Any) -> Case:
    return case(base, "red", links, *sabotages, **more)


def amber(base: str, links: Links, *sabotages: Sabotage, **more: Any) -> Case:
    return case(base, "amber", links, *sabotages, **more)


def grey(base: str, links: Links, *sabotages: Sabotage, **more: Any) -> Case:
    return case(base, "grey", links, *sabotages, **more)


def odd(base: str, *sabotages: Sabotage, **more: Any) -> Case:
    """What looks odd and is well: as far as it can be known, which is all the way for what is public alone."""
    return case(base, "green" if base == "public" else "unproven", {}, *sabotages, **more)


C = "credential"
RELENT = (s.organization_relents,)
WIDEN = (s.widen_boundary,)
USER: list[Case] = [
    red(C, both("user", "policy_missing"), s.policy_gone),
    red(C, at(SERVED, "user", "policy_drift"), s.policy_without_seoul),
    red(C, both("user", "policy_drift"), s.policy_without_layers),
    amber(C, both("user", "policy_drift"), s.policy_without_token),
    odd(C, s.policy_wider),
    red(C, both("user", "foreign_policy"), having(s.denied_inline, action="ecr:BatchGetImage")),
    red(C, both("user", "foreign_policy"), having(s.denied_inline, action="ecr:*")),
    red(C, both("user", "foreign_policy"), having(s.denied_attached, action="ecr:GetDownloadUrlForLayer")),
    amber(C, both("user", "foreign_policy"), having(s.denied_inline, action="ecr:GetAuthorizationToken")),
    amber(C, both("user", "foreign_policy"), s.more_rights),
    red(C, both("user", "boundary_denies"), having(s.bounded, "s3:*"), by_hand=WIDEN),
    red(
        C,
        both("user", "boundary_denies"),
        having(s.bounded, "ecr:BatchGetImage", "ecr:GetAuthorizationToken"),
        by_hand=WIDEN,
    ),
    amber(
        C,
        both("user", "boundary_denies"),
        having(s.bounded, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        by_hand=WIDEN,
    ),
    odd(C, having(s.bounded, "ecr:*")),
    red(C, both("user", "organization_denies"), having(s.organization_denies, "ecr:BatchGetImage"), by_hand=RELENT),
    red(
        C,
        both("user", "organization_denies"),
        having(s.organization_denies, "ecr:GetDownloadUrlForLayer"),
        by_hand=RELENT,
    ),
    amber(
        C,
        both("user", "organization_denies"),
        having(s.organization_denies, "ecr:GetAuthorizationToken"),
        by_hand=RELENT,
    ),
    red(C, both("user", "organization_denies"), s.organization_lacks_ecr, by_hand=RELENT),
    odd(C, having(s.organization_denies, "s3:*")),
    amber(C, both("key", "secret_key_inactive"), s.key_inactive),
    amber(C, both("key", "secret_key_mismatch"), s.key_gone),
    amber(C, both("key", "foreign_key"), s.another_key),
    red(C, both("user", "user_missing"), s.user_gone),
    amber(C, both("user", "not_managed"), s.user_untagged),
    odd(C, s.user_tagged),
    red(C, both("user", "quarantined"), s.quarantined),
    amber(C, both("key", "rotation_due"), s.key_old),
]
STORE = [
    amber(C, both("key", "secret_missing"), s.entry_gone),
    amber(C, both("key", "secret_missing"), s.entry_going),
    amber(C, both("key", "secret_wrong"), s.secret_wrong),
    amber(C, both("key", "secret_unreadable"), having(s.entry_is, value="hello")),
    amber(C, both("key", "secret_unreadable"), having(s.entry_is, value="{}")),
    amber(C, both("key", "secret_unreadable"), having(s.entry_is, value="[1]")),
    amber(C, both("key", "secret_unreadable"), s.entry_of_a_console),
    amber(C, both("key", "secret_unreadable"), s.entry_is_binary),
    amber(C, both("key", "entry_of_another"), s.entry_of_another),
    amber("ssm", both("key", "secret_missing"), s.parameter_gone),
    amber("ssm", both("key", "secret_unreadable"), s.parameter_is_garbage),
    red(C, at(SERVED, "credential", "token_expired"), having(s.token_over, SEOULS)),
    red(C, at(TRAINING, "credential", "token_expired"), having(s.token_over, EAST)),
    amber(C, at(SERVED, "credential", "token_ends_soon"), having(s.token_nearly_over, SEOULS)),
    amber(C, at(SERVED, "credential", "token_unknown"), having(s.token_unrecorded, SEOULS)),
]


def again(workload: str) -> tuple[Sabotage, ...]:
    return (having(s.push_again, workload),)


IMAGES = [
    red(C, at(TRAINING, "image", "tag_not_found"), having(s.tag_gone, TRAINING), by_hand=again(TRAINING)),
    red(C, at(SERVED, "image", "tag_not_found"), having(s.tag_gone, SERVED), by_hand=again(SERVED)),
    red(
        C,
        at(SERVED, "image", "repository_not_found"),
        having(s.repository_gone, SERVED),
        by_hand=(having(s.repository_again, SERVED),),
    ),
    red(C, at(TRAINING, "image", "platform_missing"), having(s.another_platform, TRAINING), by_hand=again(TRAINING)),
    red(C, at(TRAINING, "image", "not_an_image"), having(s.chart, TRAINING), by_hand=again(TRAINING)),
    red(C, at(SERVED, "image", "layer_unavailable"), having(s.layer_lost, SERVED), by_hand=again(SERVED)),
    red(C, at(TRAINING, "image", "layer_unavailable"), having(s.layer_lost, TRAINING), by_hand=again(TRAINING)),
    odd(C, having(s.another_image, TRAINING)),
    amber(
        C,
        at(TRAINING, "image", "tag_expires"),
        having(s.expires_by_age, TRAINING, 3),
        by_hand=(having(s.lifecycle_gone, TRAINING),),
    ),
    amber(
        C,
        at(SERVED, "image", "tag_expires"),
        having(s.expires_by_count, SERVED),
        by_hand=(having(s.lifecycle_gone, SERVED),),
    ),
    odd(C, having(s.expires_by_age, TRAINING, 365)),
    odd(C, having(s.expires_untagged, TRAINING)),
    red(
        "delegation",
        at(SERVED, "image", "tag_not_found"),
        having(s.tag_gone, SERVED),
        by_hand=again(SERVED),
    ),
    red(
        "delegation",
        at(TRAINING, "image", "layer_unavailable"),
        having(s.layer_lost, TRAINING),
        by_hand=again(TRAINING),
    ),
    red("caller", at(TRAINING, "image", "tag_not_found"), having(s.tag_gone, TRAINING), by_hand=again(TRAINING)),
    red("caller", at(SERVED, "image", "layer_unavailable"), having(s.layer_lost, SERVED), by_hand=again(SERVED)),
]
T, E = "template", "endpoint"
AT_RUNPOD = [
    red(C, at(SERVED, "credential", "credential_missing"), having(s.credential_gone, SEOULS)),
    red(C, at(TRAINING, "credential", "credential_missing"), having(s.credential_gone, EAST)),
    case(C, "unproven", {}, having(s.password_overwritten, EAST)),
    amber(
        C,
        at(SERVED, "credential", "credential_twice"),
        having(s.credential_twice, SEOULS),
        by_hand=(having(s.credential_once, SEOULS),),
    ),
    red(C, at(TRAINING, T, "credential_unlinked"), having(s.template_unlinked, TRAINING)),
    red(C, at(SERVED, T, "credential_unlinked"), having(s.template_unlinked, SERVED)),
    red(C, at(SERVED, E, "access_missing"), having(s.endpoint_unlinked, SERVED)),
    red(C, at(TRAINING, T, "credential_unlinked"), having(s.template_of_another_region, TRAINING)),
    red(C, at(SERVED, E, "runs_unpullable"), having(s.endpoint_of_another_region, SERVED)),
    amber(C, at(TRAINING, T, "credential_unlinked"), having(s.template_of_a_stranger, TRAINING)),
    amber(C, at(TRAINING, T, "template_drift"), having(s.template_runs, TRAINING, V2)),
    red(C, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, OTHER)),
    red(C, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, NOWHERE)),
    red(C, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, FAR)),
    red(C, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, FOREIGN)),
    red(C, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, IN_PUBLIC)),
    red(C, at(SERVED, E, "runs_unpullable"), having(s.endpoint_runs, SERVED, SEOUL_OLD)),
    red(C, at(SERVED, E, "runs_unpullable"), having(s.endpoint_runs, SERVED, IMAGE)),
    odd(C, having(s.template_disk, TRAINING)),
    red(C, at(TRAINING, T, "template_missing"), having(s.template_gone, TRAINING)),
    amber(C, at(SERVED, T, "template_missing"), having(s.template_gone, SERVED)),
    red(C, at(SERVED, E, "endpoint_missing"), having(s.endpoint_gone, SERVED)),
    amber(C, at(SERVED, E, "endpoint_drift"), having(s.endpoint_scaled, SERVED)),
    amber(
        C,
        at(SERVED, E, "workers_throttled"),
        having(s.workers, "THROTTLED", "THROTTLED"),
        by_hand=(having(s.workers, "IDLE"),),
    ),
    amber(
        C,
        at(SERVED, E, "workers_unhealthy"),
        having(s.workers, "UNHEALTHY", "RUNNING"),
        by_hand=(having(s.workers, "IDLE"),),
    ),
    amber(C, at(SERVED, E, "workers_stuck"), having(s.workers, "INITIALIZING"), by_hand=(having(s.workers, "IDLE"),)),
    odd(C, having(s.workers, "INITIALIZING", minutes=1)),
    odd(C, having(s.workers, "RUNNING", "IDLE")),
    amber(
        C,
        {},
        s.pod_of_an_older_credential,
        by_hand=(having(s.pod_again, "notebook"),),
        elsewhere=["pod_left_behind"],
    ),
    odd(C, s.pod),
    odd(C, s.pod_terminated),
    odd(C, s.another_environment),
    odd(C, s.nothing),
    odd("ssm", s.nothing),
    odd("caller", s.nothing),
    odd("delegation", s.nothing),
    odd("public", s.nothing),
    red("caller", at(TRAINING, "credential", "credential_missing"), having(s.credential_gone, EAST)),
    red("caller", at(TRAINING, T, "credential_unlinked"), having(s.template_unlinked, TRAINING)),
]
ROLES = list(PULL_ROLES)
TO_ROLES = {"StringEquals": {"aws:PrincipalArn": ROLES}}
WEST = {"AWS": ROLES[1]}
D = "delegation"


def taken(workload: str, sid: str) -> tuple[Sabotage, ...]:
    return (having(s.statement_taken, workload, sid),)


def added(*given: Any, **more: Any) -> Sabotage:
    return having(s.statement_added, TRAINING, s.statement(*given, **more))


DENIES = at(TRAINING, "policy", "statement_denies")
DELEGATION = [
    red(D, at(TRAINING, "policy", "statement_missing"), having(s.repository_policy_gone, TRAINING)),
    red(D, at(TRAINING, "policy", "role_missing"), having(s.role_lacking, TRAINING)),
    amber(D, at(TRAINING, "policy", "role_outdated"), having(s.former_role, TRAINING)),
    red(D, at(TRAINING, "policy", "role_missing"), having(s.former_role, TRAINING, only=True)),
    red(D, at(TRAINING, "delegation", "delegation_missing"), having(s.delegation_gone, TRAINING)),
    red(D, at(SERVED, "delegation", "delegation_missing"), having(s.delegation_gone, SERVED)),
    red(D, DENIES, added("No", "Deny", "*"), by_hand=taken(TRAINING, "No")),
    red(D, DENIES, added("No", "Deny", WEST), by_hand=taken(TRAINING, "No")),
    red(D, DENIES, added("No", "Deny", {"AWS": "arn:aws:iam::550005742258:root"}), by_hand=taken(TRAINING, "No")),
    red(
        D,
        DENIES,
        added("No", "Deny", "*", TO_ROLES, action="ecr:GetDownloadUrlForLayer"),
        by_hand=taken(TRAINING, "No"),
    ),
    red(
        D,
        DENIES,
        added("No", "Deny", "*", {"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}),
        by_hand=taken(TRAINING, "No"),
    ),
    red(
        D,
        DENIES,
        added(
            "No", "Deny", "*", {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:*"}}, action="ecr:Batch*"
        ),
        by_hand=taken(TRAINING, "No"),
    ),
    odd(D, added("Tls", "Deny", "*", {"Bool": {"aws:SecureTransport": "false"}})),
    odd(D, added("Push", "Deny", "*", action="ecr:PutImage")),
    odd(D, added("No", "Deny", {"AWS": "arn:aws:iam::123456789012:user/former"})),
    odd(D, added("No", "Deny", "*", {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/x"}})),
    odd(D, added("Team", "Allow", {"AWS": "arn:aws:iam::123456789012:root"})),
    amber(D, at(TRAINING, "policy", "open_to_all"), added("All", "Allow", "*"), by_hand=taken(TRAINING, "All")),
    amber(
        D,
        at(TRAINING, "policy", "statement_missing"),
        having(s.granted_otherwise, TRAINING, s.statement("Mine", "Allow", "*", TO_ROLES)),
    ),
    amber(
        D,
        at(TRAINING, "policy", "statement_missing"),
        having(s.granted_otherwise, TRAINING, s.statement("Mine", "Allow", {"AWS": ROLES})),
    ),
    red(
        D,
        at(TRAINING, "policy", "statement_missing"),
        having(s.granted_otherwise, TRAINING, s.statement("Mine", "Allow", WEST)),
    ),
    amber(D, at(TRAINING, T, "template_drift"), having(s.template_of_a_stranger, TRAINING)),
    red(D, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, NOWHERE)),
    red(D, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, OTHER)),
]
P = "public"
PUBLIC = [
    red(P, at(TRAINING, "public_image", "mirror_missing"), s.public_repository_gone),
    red(P, at(TRAINING, "public_image", "mirror_missing"), s.public_tag_gone),
    amber(P, at(TRAINING, "public_image", "mirror_behind"), having(s.another_image, TRAINING)),
    amber(P, at(TRAINING, "image", "tag_not_found"), having(s.tag_gone, TRAINING), by_hand=again(TRAINING)),
    red(P, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, IN_PUBLIC)),
    red(P, at(TRAINING, T, "runs_unpullable"), having(s.template_runs, TRAINING, IMAGE)),
    red(P, at(SERVED, E, "endpoint_missing"), having(s.endpoint_gone, SERVED)),
]
H = (s.heard,)
UNSEEN = [
    grey(C, {}, having(s.refused, "^GET /v2/pods", FORBIDDEN), by_hand=H, elsewhere=["not_looked_at"]),
    grey(C, both(T, "not_looked_at"), having(s.refused, "^GET /v2/templates", FORBIDDEN), by_hand=H),
    grey(C, at(SERVED, E, "not_looked_at"), having(s.refused, "^GET /v2/serverless$", FORBIDDEN), by_hand=H),
    grey(
        C,
        {(name, kind): ["not_looked_at"] for name in (TRAINING, SERVED) for kind in ("user", "key")},
        having(s.refused, "^iam:GetUser$", DENIED),
        by_hand=H,
    ),
    grey(
        C,
        {(name, kind): ["not_looked_at"] for name in (TRAINING, SERVED) for kind in ("user", "key")},
        having(s.refused, "^iam:.*$", DENIED),
        by_hand=H,
    ),
    grey(C, both("key", "not_looked_at"), having(s.refused, "^secretsmanager:.*", DENIED), by_hand=H),
    grey(C, both("image", "not_looked_at"), having(s.refused, "^ecr:GetLifecyclePolicy$", DENIED), by_hand=H),
    grey(C, both("image", "not_looked_at"), having(s.refused, "^ecr:BatchCheckLayerAvailability$", DENIED), by_hand=H),
    grey(
        C,
        {(name, kind): ["no_session"] for name in (TRAINING, SERVED) for kind in ("user", "key")},
        having(s.refused, "^(ecr|iam|secretsmanager|sts):.*", EXPIRED),
        by_hand=H,
    ),
    grey(D, both("policy", "no_session"), having(s.refused, "^(ecr|iam|secretsmanager|sts):.*", EXPIRED), by_hand=H),
    grey(D, both("policy", "not_looked_at"), having(s.refused, "^ecr:GetRepositoryPolicy$", DENIED), by_hand=H),
]
SINGLES = [*USER, *STORE, *IMAGES, *AT_RUNPOD, *DELEGATION, *PUBLIC, *UNSEEN]


def together(one: Case, other: Case) -> Case:
    """Return two sabotages of one base at once, which are told as each is alone."""
    worst = min(one.status, other.status, key=["red", "amber", "grey", "unproven", "green"].index)
    links = {link: [*one.links.get(link, []), *other.links.get(link, [])] for link in {**one.links, **other.links}}
    elsewhere = (*one.elsewhere, *other.elsewhere)
    return Case(one.base, one.sabotages + other.sabotages, links, worst, one.by_hand + other.by_hand, elsewhere)


def named(name: str) -> Case:
    [found] = [case for case in SINGLES if case.name == name]
    return found


PAIRED = [
    ("policy_gone", "tag_gone-training"),
    ("policy_without_seoul", "template_unlinked-training"),
    ("secret_wrong", "endpoint_gone-served"),
    ("entry_gone", "tag_gone-served"),
    ("quarantined", "layer_lost-training"),
    ("another_key", "expires_by_age-training-3"),
    ("key_old", "workers-UNHEALTHY-RUNNING"),
    ("more_rights", "template_gone-training"),
    ("organization_lacks_ecr", "tag_gone-training"),
    ("template_unlinked-training", "endpoint_unlinked-served"),
    ("tag_gone-training", "tag_gone-served"),
    ("layer_lost-training", "endpoint_scaled-served"),
    ("another_environment", "template_unlinked-training"),
    ("pod_of_an_older_credential", "tag_gone-served"),
]
PAIRS = [together(named(f"{C}+{one}"), named(f"{C}+{other}")) for one, other in PAIRED]
ALL = [*SINGLES, *PAIRS]
