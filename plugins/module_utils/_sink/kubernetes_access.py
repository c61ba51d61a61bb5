# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: where a cluster is and as whom to ask it, by options, a kubeconfig file, or the account of
# the pod that this runs in.

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from .._core.errors import ConflictError, InputError, Json
from .._core.masking import mask_login, printable

IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_FILE = "~/.kube/config"
# Takes a command and variables, and returns its code and what it writes.
RunCommand = Callable[[list[str], dict[str, str]], tuple[int, str, str]]
# Keys of a kubeconfig that would have to be honoured, and are not.
UNSUPPORTED = {
    "cluster": ("proxy-url", "tls-server-name"),
    "user": ("auth-provider", "as", "as-groups", "as-uid", "as-user-extra"),
}


def optional(name: str) -> Any:
    """Return a library that is not needed unless it is asked for, None where it is not there."""
    with suppress(ImportError):
        return import_module(name)
    return None


yaml = optional("yaml")


class Access(NamedTuple):
    """Neither token nor password shows in a representation."""

    url: str
    authorization: str = ""
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True

    def __repr__(self) -> str:
        return f"Access({mask_login(self.url)})"


def access(
    options: Json, environment: Mapping[str, str], folder: Path, run_command: RunCommand, in_pod: Path = IN_POD
) -> Access:
    """Return what the first of them says; `folder` takes certificates and keys that stand in a kubeconfig."""
    if options["host"]:
        return by_options(options)
    path = kubeconfig_of(options, environment)
    if path:
        return overridden(by_kubeconfig(path, options["context"], folder, run_command), options)
    if environment.get("KUBERNETES_SERVICE_HOST") and in_pod.is_dir():
        return by_pod(environment, in_pod)
    raise InputError(
        "Nothing says which Kubernetes cluster is meant: set kubernetes.host and kubernetes.api_key, or "
        f"kubernetes.kubeconfig, or have {DEFAULT_FILE}."
    )


def by_options(options: Json) -> Access:
    if not str(options["host"]).startswith(("https://", "http://")):
        raise InputError(f"kubernetes.host is {mask_login(str(options['host']))!r}: it must start with https://.")
    return Access(
        options["host"],
        bearer(options["api_key"]) if options["api_key"] else "",
        options["ca_cert"],
        options["client_cert"],
        options["client_key"],
        options["validate_certs"] is not False,
    )


def overridden(found: Access, options: Json) -> Access:
    """Return what the file says, but for what the options say."""
    more: dict[str, Any] = {}
    if options["api_key"]:
        more["authorization"] = bearer(options["api_key"])
    if options["ca_cert"]:
        more["ca_path"] = options["ca_cert"]
    if options["validate_certs"] is not None:
        more["validate_certs"] = options["validate_certs"]
    return found._replace(**more)


def bearer(token: str) -> str:
    if not token.strip() or not token.strip().isprintable() or " " in token.strip():
        raise InputError("The token for Kubernetes is empty, or has a blank or line break that no token has.")
    return f"Bearer {token.strip()}"


def by_pod(environment: Mapping[str, str], folder: Path) -> Access:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    address = f"[{host}]" if ":" in host else host
    return Access(f"https://{address}:{port}", bearer(text_of(folder / "token")), str(folder / "ca.crt"))


# A kubeconfig


def kubeconfig_of(options: Json, environment: Mapping[str, str]) -> Path | None:
    given = options["kubeconfig"] or environment.get("KUBECONFIG", "").partition(os.pathsep)[0]
    path = Path(given or DEFAULT_FILE).expanduser()
    return path if given or path.is_file() else None


def by_kubeconfig(path: Path, context: str | None, folder: Path, run_command: RunCommand) -> Access:
    document = parsed(path)
    name = context or document.get("current-context")
    if not name:
        raise InputError(f"{path} has no current-context: set kubernetes.context.")
    chosen = named(document, "contexts", "context", name, path)
    cluster = named(document, "clusters", "cluster", chosen.get("cluster"), path)
    user = named(document, "users", "user", chosen["user"], path) if chosen.get("user") else {}
    require_supported(path, cluster=cluster, user=user)
    if not str(cluster.get("server") or "").startswith(("https://", "http://")):
        raise InputError(f"{path}: the cluster of the context {printable(name)} has no server that is an address.")
    if "exec" in user:
        user = {**user, **executed(path, user["exec"], run_command)}
    authority = file_of(path, cluster, "certificate-authority", folder)
    certificate = file_of(path, user, "client-certificate", folder)
    key = file_of(path, user, "client-key", folder)
    checked = not cluster.get("insecure-skip-tls-verify", False)
    return Access(str(cluster["server"]), authorization(path, user), authority, certificate, key, checked)


def parsed(path: Path) -> Json:
    if yaml is None:
        raise InputError("A kubeconfig is read with PyYAML, which is not there: install it, or set kubernetes.host.")
    try:
        document = yaml.safe_load(text_of(path))
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        raise InputError(f"{path} is not a kubeconfig.")
    return document


def named(document: Json, listing: str, kind: str, name: Any, path: Path) -> Json:
    items = document.get(listing)
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and item.get("name") == name and isinstance(item.get(kind), dict):
            return item[kind]
    raise InputError(f"{path} has no {kind} called {printable(name)!r}.")


def require_supported(path: Path, **parts: Json) -> None:
    for kind, part in parts.items():
        for key in UNSUPPORTED[kind]:
            if part.get(key):
                raise InputError(f"{path}: {key} of a {kind} is not supported here: set kubernetes.host and its like.")


def authorization(path: Path, user: Json) -> str:
    if user.get("tokenFile"):
        return bearer(text_of(path.parent / str(user["tokenFile"])))
    if user.get("token"):
        return bearer(str(user["token"]))
    if user.get("username"):
        login = f"{user['username']}:{user.get('password') or ''}"
        return f"Basic {base64.b64encode(login.encode()).decode()}"
    return ""


def file_of(path: Path, part: Json, key: str, folder: Path) -> str | None:
    """Return the file of a certificate or key; what stands in the kubeconfig itself is put into the folder."""
    if not part.get(f"{key}-data"):
        return str(path.parent / str(part[key])) if part.get(key) else None
    try:
        content = base64.b64decode(str(part[f"{key}-data"]), validate=True)
    except ValueError:
        raise InputError(f"{path}: {key}-data is not base64.") from None
    return private_file(folder / key, content)


def private_file(path: Path, content: bytes) -> str:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return str(path)


def executed(path: Path, command: Any, run_command: RunCommand) -> Json:
    """Return what a credential plugin answers, such as that of EKS. It holds a token, so an error repeats none."""
    if not isinstance(command, dict) or not command.get("command"):
        raise InputError(f"{path}: exec of the user names no command.")
    variables = {one["name"]: str(one["value"]) for one in command.get("env") or []}
    version = str(command.get("apiVersion") or "client.authentication.k8s.io/v1")
    about = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    argv = [str(command["command"]), *map(str, command.get("args") or [])]
    try:
        code, output, complaint = run_command(argv, {**variables, "KUBERNETES_EXEC_INFO": json.dumps(about)})
    except OSError as error:
        raise ConflictError(f"{path}: {argv[0]} cannot be run for credentials: {type(error).__name__}.") from None
    status = credential_of(output) if code == 0 else None
    if status is None:
        why = printable(complaint.strip())[:200] if code else "no credential"
        raise ConflictError(f"{path}: {argv[0]} gives no credential for the cluster ({why}): run it by hand.")
    return {
        "token": status.get("token"),
        "client-certificate-data": encoded(status.get("clientCertificateData")),
        "client-key-data": encoded(status.get("clientKeyData")),
    }


def credential_of(output: str) -> Json | None:
    try:
        status = json.loads(output).get("status")
    except (ValueError, AttributeError, RecursionError):
        return None
    usable = isinstance(status, dict) and (status.get("token") or status.get("clientCertificateData"))
    return status if usable else None


def encoded(text: Any) -> str | None:
    return base64.b64encode(str(text).encode()).decode() if text else None


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{path} cannot be read: {reason}.") from None
