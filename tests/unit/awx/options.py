# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of awx.awx' modules that are used here, as its documentation has them, and what infra.aap_configuration
calls the lists of them. The collection itself is on no package index.
"""

from __future__ import annotations

from typing import Any

# The module of each variable, and what of it the roles of infra.aap_configuration pass on under the same name.
VARIABLES = {
    "controller_credential_types": "credential_type",
    "controller_credentials": "credential",
    "controller_execution_environments": "execution_environment",
    "controller_notifications": "notification_template",
    "controller_projects": "project",
    "controller_inventories": "inventory",
    "controller_hosts": "host",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
    "controller_schedules": "schedule",
}

COMMON = {"name": "str!", "description": "str", "state": "str:present,absent,exists"}
ORGANIZATION = {"organization": "str"}
NOTIFICATIONS = {f"notification_templates_{event}": "list" for event in ("started", "success", "error")}
SURVEY = {"survey_enabled": "bool", "survey_spec": "dict"}

# Each option's type, then `!` when it is required, then its choices.
MODULES: dict[str, dict[str, str]] = {
    "credential_type": {
        **COMMON,
        "kind": "str:ssh,vault,net,scm,cloud,insights",
        "inputs": "dict",
        "injectors": "dict",
    },
    "credential": {
        **COMMON,
        **ORGANIZATION,
        "credential_type": "str!",
        "inputs": "dict",
        "update_secrets": "bool",
    },
    "execution_environment": {
        **COMMON,
        **ORGANIZATION,
        "image": "str",
        "credential": "str",
        "pull": "str:always,missing,never",
    },
    "notification_template": {
        **COMMON,
        **ORGANIZATION,
        "notification_type": "str:awssns,email,grafana,irc,mattermost,pagerduty,rocketchat,slack,twilio,webhook",
        "notification_configuration": "dict",
        "messages": "dict",
    },
    "project": {
        **COMMON,
        **ORGANIZATION,
        **NOTIFICATIONS,
        "scm_type": "str:manual,git,svn,insights,archive",
        "scm_url": "str",
        "scm_branch": "str",
        "credential": "str",
        "scm_clean": "bool",
        "scm_update_on_launch": "bool",
        "scm_update_cache_timeout": "int",
        "allow_override": "bool",
        "timeout": "int",
        "wait": "bool",
    },
    "inventory": {**COMMON, "organization": "str!", "variables": "dict", "kind": "str:,smart,constructed"},
    "host": {**COMMON, "inventory": "str!", "enabled": "bool", "variables": "dict"},
    "job_template": {
        **COMMON,
        **ORGANIZATION,
        **NOTIFICATIONS,
        **SURVEY,
        "job_type": "str:run,check",
        "inventory": "str",
        "project": "str",
        "playbook": "str",
        "credentials": "list",
        "execution_environment": "str",
        "limit": "str",
        "extra_vars": "dict",
        "ask_job_type_on_launch": "bool",
        "ask_limit_on_launch": "bool",
        "ask_scm_branch_on_launch": "bool",
        "ask_variables_on_launch": "bool",
        "job_slice_count": "int",
        "diff_mode": "bool",
        "allow_simultaneous": "bool",
        "timeout": "int",
    },
    "workflow_job_template": {
        **COMMON,
        **ORGANIZATION,
        **NOTIFICATIONS,
        **SURVEY,
        "notification_templates_approvals": "list",
        "extra_vars": "dict",
        "inventory": "str",
        "limit": "str",
        "ask_limit_on_launch": "bool",
        "ask_variables_on_launch": "bool",
        "allow_simultaneous": "bool",
    },
    "workflow_job_template_node": {
        **ORGANIZATION,
        "identifier": "str!",
        "workflow_job_template": "str!",
        "unified_job_template": "str",
        "approval_node": "dict",
        "job_type": "str:run,check",
        "limit": "str",
        "extra_data": "dict",
        "always_nodes": "list",
        "success_nodes": "list",
        "failure_nodes": "list",
    },
    "schedule": {
        **COMMON,
        **ORGANIZATION,
        "rrule": "str",
        "unified_job_template": "str",
        "extra_data": "dict",
        "job_type": "str:run,check",
        "enabled": "bool",
    },
}

# What the variables hold besides, and what stands in their dictionaries.
KEYS: dict[str, set[str]] = {
    **{variable: set(MODULES[module]) for variable, module in VARIABLES.items()},
    "question": {
        *("question_name", "question_description", "variable", "type", "required"),
        *("default", "choices", "min", "max", "new_question"),
    },
    "survey": {"name", "description", "spec"},
    "node": set(MODULES["workflow_job_template_node"]) - {"workflow_job_template", "organization"},
    "approval": {"name", "description", "timeout"},
    "inputs": {"fields", "required"},
    "field": {"id", "label", "type", "format", "choices", "help_text", "multiline", "secret", "default"},
    "webhook": {"url", "http_method", "headers", "username", "password", "disable_ssl_verification"},
}
KEYS["controller_workflows"].add("simplified_workflow_nodes")

INNER: dict[str, dict[str, str]] = {
    "controller_credential_types": {"inputs": "inputs"},
    "controller_notifications": {"notification_configuration": "webhook"},
    "controller_templates": {"survey_spec": "survey"},
    "controller_workflows": {"survey_spec": "survey", "simplified_workflow_nodes": "node"},
    "inputs": {"fields": "field"},
    "node": {"approval_node": "approval"},
    "survey": {"spec": "question"},
}


def argument_spec(module: str) -> dict[str, dict[str, Any]]:
    """Return the options of a module, in Ansible's form."""
    return {name: parsed(text) for name, text in MODULES[module].items()}


def parsed(text: str) -> dict[str, Any]:
    kind, colon, choices = text.partition(":")
    option: dict[str, Any] = {"type": kind.rstrip("!"), "required": kind.endswith("!")}
    return {**option, "choices": choices.split(",")} if colon else option
