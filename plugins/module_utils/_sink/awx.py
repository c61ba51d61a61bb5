# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the credential by which AWX, or Ansible Automation Platform, pulls execution environments.
# AWX tells no password, but when a credential was changed; the description, written right after it, repeats that.

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from ansible.module_utils.basic import env_fallback

from .._aws.ecr_token import Token
from .._core.errors import ApiError, ConflictError, InputError, Json, SupersededError
from .._core.masking import mask_login, printable
from .._core.time import parse_timestamp
from .json_api import JsonApi, Kinds, opener_of, shaped
from .target import Registries, SinkState, TokenMetadata, describe, metadata_in

OPTIONS: Json = {
    "name": {"type": "str", "required": True},
    "organization": {"type": "str", "default": "Default"},
    "host": {"type": "str", "fallback": (env_fallback, ["CONTROLLER_HOST", "AAP_HOSTNAME"])},
    "oauth_token": {
        "type": "str",
        "no_log": True,
        "fallback": (env_fallback, ["CONTROLLER_OAUTH_TOKEN", "AAP_TOKEN"]),
    },
    "username": {"type": "str", "fallback": (env_fallback, ["CONTROLLER_USERNAME", "AAP_USERNAME"])},
    "password": {
        "type": "str",
        "no_log": True,
        "fallback": (env_fallback, ["CONTROLLER_PASSWORD", "AAP_PASSWORD"]),
    },
    "validate_certs": {
        "type": "bool",
        "default": True,
        "fallback": (env_fallback, ["CONTROLLER_VERIFY_SSL", "AAP_VALIDATE_CERTS"]),
    },
    "ca_path": {"type": "path"},
}
# Of what it lists and writes: the parts that are there, and those that may be.
SHAPE: tuple[Kinds, Kinds] = (
    {"id": int},
    {"name": str, "description": str, "inputs": dict, "modified": str},
)
SETTLING = timedelta(minutes=1)  # between the writes of password and description
REMEDIES = {
    401: "Check awx.oauth_token, or awx.username and awx.password.",
    403: "Allow its user to administer credentials of the organization.",
}


class Awx:
    def __init__(self, options: Json, registries: Registries, api: JsonApi, absent: bool = False) -> None:
        self.name, self.organization = options["name"], options["organization"]
        self.api, self.absent, self.region = api, absent, registries.region
        if len(registries.hosts) > 1:
            raise InputError(
                f"A credential of AWX is for one registry, not for {' and '.join(registries.hosts)}: write a task each."
            )
        [self.registry] = registries.hosts
        self._prefix = ""

    @property
    def label(self) -> str:
        return f"AWX' credential {self.name}"

    def read(self) -> SinkState:
        credential = self._credential()
        if credential is None:
            return SinkState(None)
        inputs = credential.get("inputs") or {}
        metadata = metadata_in(credential.get("description"))
        known = metadata if metadata and self._is_settled(metadata, credential) else None
        return SinkState(
            self._summary(credential),
            known,
            drift=(inputs.get("host"), inputs.get("username")) != (self.registry, "AWS"),
            retained=self._retained(credential, known),
            raw=credential,
        )

    def expected(self, state: SinkState) -> Json:
        return state.summary or {"name": self.name, "organization": self.organization}

    def write(self, state: SinkState, token: Token, made_by: str) -> SinkState:
        """Write the password first. Without the description that follows, the next run knows nothing of the token."""
        former = (state.raw or {}).get("inputs") or {}
        inputs = {
            "host": self.registry,
            "username": token.username,
            "password": token.password,
            "verify_ssl": former.get("verify_ssl", True),
        }
        if state.raw:
            credential = self._send("PATCH", f"credentials/{state.raw['id']}/", {"inputs": inputs}, token)
        else:
            credential = self._create(inputs, token)
        metadata = TokenMetadata(token.expires_at, made_by, str(credential.get("modified")))
        text = describe(credential.get("description"), metadata, f"Amazon ECR token for {self.region}")
        self._send("PATCH", f"credentials/{credential['id']}/", {"description": text})
        return self.read()

    def remove(self, state: SinkState) -> None:
        self._send("DELETE", f"credentials/{state.raw['id']}/")

    # What AWX has

    def _credential(self) -> Json | None:
        asked = {"name": self.name, "organization__name": self.organization, "credential_type": self._type()}
        found = self._list("credentials", **asked)
        return found[0] if found else None

    def _type(self) -> int:
        found = self._list("credential_types", kind="registry")
        if not found:
            raise ConflictError("AWX has no credential type for container registries: it has one since version 18.")
        return found[0]["id"]

    def _organization(self) -> int:
        found = self._list("organizations", name=self.organization)
        if not found:
            raise InputError(f"AWX has no organization {self.organization!r} that its user may see.")
        return found[0]["id"]

    def _create(self, inputs: Json, token: Token) -> Json:
        body = {
            "name": self.name,
            "organization": self._organization(),
            "credential_type": self._type(),
            "inputs": inputs,
        }
        try:
            return self._send("POST", "credentials/", body, token)
        except ApiError as error:
            if error.status != 400 or "already exists" not in str(error):
                raise
            raise SupersededError(f"Something else has made {self.label} meanwhile: run again.") from error

    def _list(self, listing: str, /, **asked: Any) -> list[Json]:
        call = f"{self.api.name}: GET {listing}"
        answer = self.api.request("GET", f"{self._root()}{listing}/?{urlencode(asked)}")
        found = shaped(call, answer, {"results": list})["results"]
        return [shaped(call, one, *SHAPE) for one in found]

    def _send(self, method: str, path: str, body: Json | None = None, token: Token | None = None) -> Json:
        answer = self.api.request(method, f"{self._root()}{path}", body, [token.password] if token else [])
        return answer if method == "DELETE" else shaped(f"{self.api.name}: {method} {path}", answer, *SHAPE)

    def _root(self) -> str:
        """Return where the API is: behind the gateway of Ansible Automation Platform, or by itself."""
        if not self._prefix:
            answer = shaped("AWX: GET /api/", self.api.request("GET", "/api/"), {}, {"apis": dict})
            places = shaped("AWX: GET /api/", answer.get("apis") or {}, {}, {"controller": str})
            self._prefix = f"{places.get('controller') or '/api/'}v2/"
        return self._prefix

    def _is_settled(self, metadata: TokenMetadata, credential: Json) -> bool:
        """Return whether nothing was written after the description."""
        written, modified = moment(metadata.mark), moment(credential.get("modified"))
        return bool(written and modified and written <= modified <= written + SETTLING)

    def _summary(self, credential: Json) -> Json:
        return {"id": credential["id"], "name": self.name, "organization": self.organization}

    def _retained(self, credential: Json, known: Any) -> str:
        if not self.absent:
            return ""
        if not known:
            return f"{self.label} stays: something else has written it."
        users = [
            printable(one.get("name") or one["id"])
            for one in self._list("execution_environments", credential=credential["id"])
        ]
        return f"{self.label} stays: execution environments pull with it ({', '.join(users)})." if users else ""


def moment(text: Any) -> datetime | None:
    with suppress(ValueError, TypeError):
        return parse_timestamp(text)
    return None


def reason_in(problem: Json) -> str:
    """Return what AWX says of the request as a whole, or of its fields."""
    parts = [problem["detail"]] if "detail" in problem else [f"{field}: {text}" for field, text in problem.items()]
    return " ".join(str(part) for part in parts)


def authorization(options: Json) -> str:
    if options["oauth_token"]:
        return f"Bearer {options['oauth_token']}"
    if options["username"] and options["password"]:
        login = f"{options['username']}:{options['password']}"
        return f"Basic {base64.b64encode(login.encode()).decode()}"
    raise InputError("awx.oauth_token is missing, and so are awx.username and awx.password: set one or the others.")


def connect(options: Json, registries: Registries, module: Any) -> Awx:
    host = options["host"] or ""
    if not host:
        raise InputError(
            "awx.host is missing: set it, or CONTROLLER_HOST, to an address such as https://awx.example.com."
        )
    address = host if "://" in host else f"https://{host}"
    if not address.startswith(("https://", "http://")) or mask_login(address) != address:
        raise InputError(f"awx.host is {mask_login(host)!r}: it must be an address with https://, without a login.")
    headers = {"Authorization": authorization(options)}
    opener = opener_of(options["validate_certs"], options["ca_path"])
    api = JsonApi("AWX", address, headers, opener, reason_in, REMEDIES)
    return Awx(options, registries, api, module.params.get("state") == "absent")
