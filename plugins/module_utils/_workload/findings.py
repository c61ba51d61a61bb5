# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: findings besides the modules'. A new one is a new row, and the rule in an audit_*.py that
# yields it.

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import Json
from .._core.finding import printable

# In the order of a chain.
LINKS = [
    *("image", "user", "key", "role", "caller", "policy", "public_image", "credential", "delegation", "template"),
    "endpoint",
]
CHAINS = {
    ("credential", "user"): ["image", "user", "key", "credential", "template", "endpoint"],
    ("credential", "role"): ["image", "role", "credential", "template", "endpoint"],
    ("credential", "caller"): ["image", "caller", "credential", "template", "endpoint"],
    ("delegation", "user"): ["image", "policy", "delegation", "template", "endpoint"],
    ("public", "user"): ["image", "public_image", "template", "endpoint"],
}

WORST_FIRST = ["red", "amber", "grey", "unproven", "green"]
COLOURS = {"error": "red", "warning": "amber", "info": "green"}
# Of what nobody could see, and what nobody outside can prove.
OTHER_COLOURS = {
    "not_looked_at": "grey",
    "no_session": "grey",
    "unproven": "unproven",
    "unproven_serverless": "unproven",
}

VARIABLES = "-e @VARIABLES.yml"
MAIN_JOB = f"With the variables of this audit: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES}"
RETIRING = (
    "When nothing needs it, with the variables of this audit: "
    f"ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES} -e runpod_ecr_retire_former_identity=true"
)
ADOPTING = (
    "It looks like somebody else's; when it is yours, with the variables of this audit: "
    f"ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES} -e runpod_ecr_adopt=true"
)
OF_SINKS = ("sink_missing", "sink_unknown", "sink_expired", "sink_ends_soon", "sink_of_another", "sink_drift")
REMEDIES = {  # of a module's finding as a whole, in place of a step
    "quarantined": f"When the incident is over: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES} "
    "-e runpod_ecr_release_quarantine=true",
    "rotation_due": f"With the variables of this audit: ansible-playbook gpuops.runpod.rotate {VARIABLES}",
    **dict.fromkeys(("policy_drift", "policy_missing", "user_missing"), MAIN_JOB),
    **dict.fromkeys(("secret_key_mismatch", "secret_missing"), MAIN_JOB),
    **dict.fromkeys(
        OF_SINKS, "Run the playbook whose task ecr_token_sink keeps it; a scheduler is to do so every 4 hours."
    ),
}


class Finding(NamedTuple):
    """`links` are where it shows, `since` is when known."""

    links: tuple[str, ...]
    severity: str
    code: str
    cause: str
    remedy: str
    workloads: tuple[str, ...]
    raw: str | None = None
    since: str | None = None

    @property
    def status(self) -> str:
        colour = COLOURS[self.severity]
        return OTHER_COLOURS.get(self.code, colour) if self.severity == "info" else colour


class Rule(NamedTuple):
    """`cause` and `remedy` are templates."""

    link: str
    severity: str
    cause: str
    remedy: str = MAIN_JOB


RULES = {
    "unreadable": Rule("", "warning", "{what} could not be read: {raw}", "Mend what the text tells, then audit again."),
    "not_looked_at": Rule(
        "",
        "info",
        "{what} could not be looked at, for whoever runs this may not: {raw}",
        "Grant the right that is named, or leave it to somebody who has it.",
    ),
    "layer_unavailable": Rule(
        "image",
        "error",
        "{number} of the layers of {image} are missing or damaged, such as {digest}.",
        "Push the image again.",
    ),
    "tag_expires": Rule(
        "image",
        "warning",
        "The lifecycle rule {rule} of the repository {repository} takes {image} at {moment}.",
        "Push the image again under a tag that the rule leaves alone, or let the rule except this one: what it took is "
        "gone for good, so no command here does it for you.",
    ),
    "no_session": Rule(
        "",
        "info",
        "What AWS holds could not be looked at, for the session of whoever runs this is over or was never begun: {raw}",
        "Log in to AWS again, then audit again; no command here does that.",
    ),
    "pulls_refused": Rule(
        "user",
        "warning",
        "AWS refused the {many} of {user} that CloudTrail noted, and {before}. The latest, at {time}: {refusal}: {raw}",
        "Mend what else is found here. Events take up to 15 minutes to arrive.",
    ),
    "entry_of_another": Rule(
        "key",
        "warning",
        "The entry {store} of the secret store is that of {owner}: tokens are minted with its key, but no run will "
        "rotate it.",
        "When the key is that of {user}: {claim}",
    ),
    "user_drift": Rule("user", "warning", "The pull user {user} is not as the variables say: {parts}."),
    "pull_role_missing": Rule("role", "error", "There is no pull role {role}, as which tokens would be minted."),
    "pull_role_drift": Rule("role", "warning", "The pull role {role} is not as the variables say: {parts}."),
    "statement_missing": Rule("policy", "error", "The policy of {arn} does not let RunPod's roles pull.", "{grant}"),
    "statement_denies": Rule(
        "policy",
        "error",
        "The statement {sids} in the policy of {arn} denies RunPod's roles to pull. A deny counts whatever else is "
        "allowed.",
        "Somebody meant it: ask who, then take the statement out or except RunPod's roles from it by a condition on "
        "aws:PrincipalArn. No command can decide that.",
    ),
    "open_to_all": Rule(
        "policy",
        "warning",
        "The statement {sids} in the policy of {arn} lets everybody on AWS pull.",
        "Unless that is meant, name accounts in its Principal, or take the statement out: RunPod's roles have one of "
        "their own. No command can decide that.",
    ),
    "role_missing": Rule("policy", "error", "The policy of {arn} does not let {roles} pull.", "{grant}"),
    "role_outdated": Rule("policy", "warning", "The policy of {arn} still lets {roles} pull.", "{grant}"),
    "mirror_missing": Rule("public_image", "error", "{destination} does not exist."),
    "mirror_behind": Rule("public_image", "warning", "{destination} is still {digest_before}, and {source} {digest}."),
    "public_drift": Rule(
        "public_image", "warning", "The public repository {name} is not as the variables say: {parts}."
    ),
    "credential_missing": Rule(
        "credential", "error", "RunPod holds no credential {name}, so it cannot log in to ECR in {region}."
    ),
    "credential_twice": Rule(
        "credential",
        "warning",
        "RunPod holds {number} credentials {name} ({ids}), and a run cannot tell which to renew.",
        "Take away the one that nothing refers to in RunPod's console: {unused}. RunPod deletes by id only, and no "
        "command here does.",
    ),
    "pod_left_behind": Rule(
        "",
        "warning",
        "The pod {name} ({id}) runs {image}, and {cause}. It runs on, but cannot be started anew.",
        "Make the pod again from its template, or give it the credential {credential} in RunPod's console: no run ever "
        "changes a pod.",
    ),
    "token_unknown": Rule(
        "credential",
        "info",
        "Nothing records when the token in the credential {name} ends: no key of a pull user minted it.",
        f"Refresh it every four hours: ansible-playbook gpuops.runpod.refresh {VARIABLES}",
    ),
    "delegation_missing": Rule(
        "delegation", "error", "RunPod was not told of {arn}, so it does not pull with its own roles.", "{delegate}"
    ),
    "unproven": Rule(
        "delegation",
        "info",
        "No pull by delegation can be proved from outside: only RunPod has its roles.",
        "See that a pod with one of these images starts.",
    ),
    "unproven_serverless": Rule(
        "delegation",
        "info",
        "No pull by delegation can be proved from outside: only RunPod has its roles. It documents delegation, a beta, "
        "for pods, and its own texts disagree whether serverless workers pull by it.",
        "See that workers start, or set runpod_ecr_access=credential, by which the pull can be proved.",
    ),
    "credential_unlinked": Rule(
        "template",
        "error",
        "The template {name} does not refer to the credential {credential}, but to {registry}. When a credential is "
        "deleted, RunPod silently takes it away from templates.",
        "{repoint}",
    ),
    "template_missing": Rule("template", "error", "RunPod has no template {name}."),
    "template_drift": Rule("template", "warning", "The template {name} is not as the variables say: {parts}.{image}"),
    "endpoint_missing": Rule("endpoint", "error", "RunPod has no endpoint {name}."),
    "endpoint_drift": Rule("endpoint", "warning", "The endpoint {name} is not as the variables say: {parts}.{image}"),
    "template_not_rolled_out": Rule(
        "endpoint", "warning", "The endpoint {name} does not run what its template says now: {changes}.", "{release}"
    ),
    "runs_unpullable": Rule(
        "",
        "error",
        "The {kind} {name} runs {image}, which cannot be pulled: {cause}{parts}",
    ),
    "workers_throttled": Rule(
        "endpoint",
        "warning",
        "RunPod throttles all {number} workers of the endpoint {name}: there is no free GPU of the kinds it names.",
        "Name further GPU pools or data centers in the endpoint's options, or wait: no command brings GPUs.",
    ),
    "workers_unhealthy": Rule(
        "endpoint",
        "warning",
        "{number} of {total} workers of the endpoint {name} are unhealthy: {ids}. The image can be pulled, so look "
        "at what runs in it.{log}",
        "Read what the worker prints in RunPod's console, then mend the image or the endpoint; no command can.",
    ),
    "workers_stuck": Rule(
        "endpoint",
        "warning",
        "No worker of the endpoint {name} is ready {minutes} minutes after its newest release: {ids} still initialise."
        "{log}",
        "Read what the worker prints in RunPod's console: a large image takes long, and one that is refused for ever. "
        "No command here speeds that up.",
    ),
    "rollout_unfinished": Rule(
        "endpoint",
        "warning",
        "{workers_on_latest} of {workers_total} workers of the endpoint {name} run its newest release.",
        "{wait}",
    ),
}


def finding(
    code: str, workloads: tuple[str, ...], raw: str | None = None, since: str | None = None, /, **facts: object
) -> Finding:
    rule = RULES[code]
    known = {**facts, "raw": raw}
    links = (rule.link,) if rule.link else ()
    cause, remedy = (printable(text.format_map(known)) for text in (rule.cause, rule.remedy))
    return Finding(links, rule.severity, code, cause, remedy, workloads, raw, since)


def from_module(one: Json, link: str, workloads: tuple[str, ...]) -> Finding:
    """Without a link it is of nobody's chain."""
    remedy: str = REMEDIES.get(one["code"]) or one["remedy"]
    return Finding(
        (link,) if link else (), one["severity"], one["code"], one["cause"], remedy, workloads, one.get("raw")
    )
