# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: what an audit can find besides what the modules find, as data. A new finding is a new row,
# and the rule in audit.py that yields it.

from __future__ import annotations

from typing import NamedTuple

from .._core.errors import Json
from .._core.finding import printable

# The links of a chain, in their order.
LINKS = ["image", "user", "key", "caller", "policy", "public_image", "credential", "delegation", "template", "endpoint"]
CHAINS = {
    ("credential", "user"): ["image", "user", "key", "credential", "template", "endpoint"],
    ("credential", "caller"): ["image", "caller", "credential", "template", "endpoint"],
    ("delegation", "user"): ["image", "policy", "delegation", "template", "endpoint"],
    ("public", "user"): ["image", "public_image", "template", "endpoint"],
}

WORST_FIRST = ["red", "amber", "grey", "green"]
COLOURS = {"error": "red", "warning": "amber", "info": "green"}
GREY = {"not_looked_at", "unproven"}  # of what is only worth knowing, what nobody could see

VARIABLES = "-e @VARIABLES.yml"
MAIN_JOB = f"With the variables of this audit: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES}"
REMEDIES = {  # what mends a module's finding as a whole, in place of a step
    "quarantined": f"When the incident is over: ansible-playbook gpuops.runpod.runpod_ecr {VARIABLES} "
    "-e runpod_ecr_release_quarantine=true",
    "rotation_due": f"With the variables of this audit: ansible-playbook gpuops.runpod.rotate {VARIABLES}",
    **dict.fromkeys(("policy_drift", "policy_missing", "user_missing"), MAIN_JOB),
    **dict.fromkeys(("secret_key_mismatch", "secret_missing"), MAIN_JOB),
}


class Finding(NamedTuple):
    """One problem: the links that it shows at, the names of the workloads, and since when it is, if that is known."""

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
        return "grey" if self.severity == "info" and self.code in GREY else COLOURS[self.severity]


class Rule(NamedTuple):
    """One finding and its link; `cause` and `remedy` are templates."""

    link: str
    severity: str
    cause: str
    remedy: str = MAIN_JOB


RULES = {
    "unreadable": Rule("", "error", "{what} could not be read: {raw}", "Mend what the text tells, then audit again."),
    "not_looked_at": Rule(
        "",
        "info",
        "{what} could not be looked at, for whoever runs this may not: {raw}",
        "Grant the right that is named, or leave it to somebody who has it.",
    ),
    "pulls_refused": Rule(
        "user",
        "warning",
        "AWS refused the {many} of {user} that CloudTrail noted, and {before}. The latest, at {time}: {refusal}: {raw}",
        "Mend what else is found here. Events take up to 15 minutes to arrive.",
    ),
    "user_drift": Rule("user", "warning", "The pull user {user} is not as the variables say: {parts}."),
    "statement_missing": Rule("policy", "error", "The policy of {arn} does not let RunPod's roles pull.", "{grant}"),
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
    "token_unknown": Rule(
        "credential",
        "info",
        "Nothing records when the token in the credential {name} ends: it was minted as the caller.",
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
        "warning",
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
    """Return a row of the table with its templates filled."""
    rule = RULES[code]
    known = {**facts, "raw": raw}
    links = (rule.link,) if rule.link else ()
    cause, remedy = (printable(text.format_map(known)) for text in (rule.cause, rule.remedy))
    return Finding(links, rule.severity, code, cause, remedy, workloads, raw, since)


def from_module(one: Json, link: str, workloads: tuple[str, ...]) -> Finding:
    """Return a finding of a module as a problem at a link; without one, of nobody's chain."""
    remedy: str = REMEDIES.get(one["code"]) or one["remedy"]
    return Finding(
        (link,) if link else (), one["severity"], one["code"], one["cause"], remedy, workloads, one.get("raw")
    )
