# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations


class ModuleDocFragment:
    """What the modules of one template and of many share besides their options."""

    DOCUMENTATION = r"""
options: {}
notes:
  - A template is found by its name. Two templates of the account with one name are an error that lists both ids.
  - An option that is not set leaves what the template has alone; on creation it means RunPod's default. The empty
    string, list or dictionary makes empty.
  - Two lists are the same when they hold the same values in any order. C(env) is compared, and replaced, as a whole.
  - A template is a snapshot for what is started from it. Pods and endpoints that exist keep what they have when the
    template changes or is deleted.
  - RunPod refuses to delete a template that a pod or an endpoint is bound to, and the module fails with its words.
  - RunPod's answer to each write is compared with what was sent. A field that it did not take is an error.
  - The values of C(env) are masked by key in results, in diffs, and where the arguments are echoed. They are not
    marked as secret to Ansible, which would blot them out wherever they occur, in ids and names too.
  - "Ansible would take RunPod's own placeholders such as C({{ RUNPOD_SECRET_name }}) for Jinja: mark the string with
    C(!unsafe)."
  - The API key must be allowed to read and write templates and, where a credential is named, to read registry
    credentials.
"""
