# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: the one client of container registries (OCI distribution). It only reads.

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError

from .._core.errors import BlobStoreError, Json, RegistryError
from .body import describe, is_page
from .manifest import MEDIA_TYPES, DamagedManifestError, NotAManifestError, parse, read
from .reference import DIGEST, DOCKER_HUB

TRIES = 4
NO_ANSWER = "NO_ANSWER"
UNEXPECTED = "UNEXPECTED_ANSWER"
DAMAGED = "MANIFEST_DAMAGED"
OWN_PAGES = {401, 429}  # below 500, pages of a web server before the registry
REDIRECTS = {301, 302, 303, 307, 308}
TROUBLE = {429, *range(500, 600)}
LARGEST = 16 * 1024 * 1024  # bytes of a manifest or a configuration
HUB_API = "registry-1.docker.io"
PROXY = "Something else answered: look at the proxy, a captive portal, DNS and the registry's name."
REMEDIES = {
    401: "The registry does not accept the login: check it, and that it is for this host and region.",
    403: "The registry refuses this login: its token may be too old or for another region, or a right is missing.",
    429: "The registry's quota is spent: log in, wait, or copy less at once.",
}


class Login(NamedTuple):
    """The password shows in no representation."""

    username: str
    password: str

    @property
    def basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __repr__(self) -> str:
        return f"Login({self.username})"


class Manifest(NamedTuple):
    digest: str
    content: bytes

    @property
    def document(self) -> Json:
        return parse(self.content)


class Registry:
    """Reads from one registry: `Registry(opener, "registry.example", login)`. `opener` is a Request that follows no
    redirects. Raises RegistryError; what is not there is None.
    """

    def __init__(
        self, opener: Any, host: str, login: Login | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._opener = opener
        self._host = HUB_API if host in {"", DOCKER_HUB} else host
        self._login = login
        self._sleep = sleep
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._bearers: dict[str, str] = {}

    def digest(self, repository: str, reference: str) -> str | None:
        """Transfers no manifest."""
        self._authorization(repository)  # a 404 of this is no missing manifest
        try:
            answer = self._manifest("HEAD", repository, reference)
        except RegistryError as error:
            if error.code == UNEXPECTED:  # the answer to HEAD has no body that could tell
                whole = self.manifest(repository, reference)
                return whole.digest if whole else None
            if absent(error):
                return None
            raise
        header = answer.headers.get("Docker-Content-Digest") or ""
        if DIGEST.fullmatch(header):
            return header
        whole = self.manifest(repository, reference)
        return whole.digest if whole else None

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The digest is computed."""
        self._authorization(repository)
        try:
            return self.fetched(repository, reference)
        except RegistryError as error:
            if absent(error):
                return None
            raise

    def fetched(self, repository: str, reference: str) -> Manifest:
        """That there is no manifest is an error with the registry's words."""
        answer = self._manifest("GET", repository, reference)
        what, content = f"{self._host}/{repository}", answer.content
        try:
            parse(content)
        except NotAManifestError as failure:
            raise unexpected(what, str(failure)) from None
        except DamagedManifestError as failure:
            text = f"{what} gave {failure}. Push the image again."
            raise RegistryError(text, code=DAMAGED, text=str(failure)) from None
        check_digest(what, reference, content)
        check_digest(what, answer.headers.get("Docker-Content-Digest") or "", content)
        return Manifest(digest_of(content), content)

    def blob(self, repository: str, digest: str) -> bytes:
        content = self._ask("GET", repository, f"blobs/{digest}", {}).content
        check_digest(f"{self._host}/{repository}", digest, content)
        return content

    def _manifest(self, method: str, repository: str, reference: str) -> Answer:
        # Without them a registry may convert the manifest and so name another digest.
        return self._ask(method, repository, f"manifests/{reference}", {"Accept": ", ".join(MEDIA_TYPES)})

    def _ask(self, method: str, repository: str, path: str, headers: dict[str, str]) -> Answer:
        if self._host == HUB_API and "/" not in repository:
            repository = f"library/{repository}"
        url = f"https://{self._host}/v2/{repository}/{path}"
        answer = self._send(method, url, {**headers, **self._authorization(repository)})
        if answer.status in REDIRECTS:
            return self._stored(method, urljoin(url, answer.headers.get("Location", "")), headers)
        if answer.status >= 300:
            raise refusal(f"{method} {url}", answer)
        return answer

    def _stored(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """The store takes its address' signature only."""
        try:
            answer = self._send(method, url, headers)
        except RegistryError as error:
            raise BlobStoreError(str(error), code=error.code, text=error.text) from None
        if answer.status >= 300:
            code, text = error_of(answer)
            message = words(answer.status, code, text)
            raise BlobStoreError(f"{method} {url.partition('?')[0]}: {message}.", answer.status, code, text)
        return answer

    def _authorization(self, repository: str) -> dict[str, str]:
        if self._challenge is None:
            answer = self._send("GET", f"https://{self._host}/v2/", {})
            if answer.status not in {200, 401}:
                raise refusal(f"GET https://{self._host}/v2/", answer)
            self._challenge = challenge(answer.headers.get("Www-Authenticate", "") if answer.status == 401 else "")
        scheme, message = self._challenge
        if scheme == "bearer":
            return {"Authorization": f"Bearer {self._bearer(message, repository)}"}
        return {"Authorization": f"Basic {self._login.basic}"} if self._login else {}

    def _bearer(self, message: dict[str, str], repository: str) -> str:
        scope = message.get("scope") or f"repository:{repository}:pull"
        if scope not in self._bearers:
            query = urlencode({"service": message.get("service", ""), "scope": scope})
            realm = message.get("realm", "")
            headers = {"Authorization": f"Basic {self._login.basic}"} if self._login else {}
            answer = self._send("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers)
            if answer.status != 200:
                raise refusal(f"GET {realm}", answer)
            document = read(answer.content)
            token = document.get("token") or document.get("access_token")
            if not isinstance(token, str):
                what = "JSON without a token" if document else describe(answer.content)
                raise unexpected(f"GET {realm}", f"{what} in place of a token")
            self._bearers[scope] = token
        return self._bearers[scope]

    def _send(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """Trouble is asked again, for reading does no harm."""
        address = url.partition("?")[0]
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._open(method, url, headers)
            except (OSError, http.client.HTTPException, AnsibleConnectionError) as failure:
                if attempt == TRIES:
                    why = str(getattr(failure, "reason", None) or type(failure).__name__)
                    raise RegistryError(
                        f"{method} {address}: no answer: {why}. Check the registry's name, the network, the proxy and "
                        "the certificates.",
                        code=NO_ANSWER,
                        text=f"{urlsplit(url).netloc}: {why}",
                    ) from None
            else:
                if answer.status not in TROUBLE or attempt == TRIES:
                    return answer
            self._sleep(2.0 ** (attempt - 1))
        raise AssertionError("unreachable")  # pragma: no cover

    def _open(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        try:
            with self._opener.open(method, url, headers=headers) as response:
                return Answer(response.status, response.headers, response.read(LARGEST))
        except HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read(LARGEST))


class Answer(NamedTuple):
    status: int
    headers: Any
    content: bytes


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def check_digest(what: str, wanted: str, content: bytes) -> None:
    if wanted.startswith("sha256:") and digest_of(content) != wanted.lower():
        given = describe(content) if is_page(content) else "other bytes"
        raise unexpected(what, f"{given} in place of {wanted}")


def challenge(header: str) -> tuple[str, dict[str, str]]:
    """Return the scheme of a WWW-Authenticate header, in small letters, and its parameters."""
    scheme, dummy, rest = header.partition(" ")
    return scheme.lower(), dict(re.findall(r'(\w+)="([^"]*)"', rest))


def absent(error: RegistryError) -> bool:
    """Return whether a manifest is missing in a repository that exists."""
    return error.status == 404 and error.code not in {"NAME_UNKNOWN", UNEXPECTED}


def error_of(answer: Answer) -> tuple[str, str]:
    """Return code and text as registries and S3 word them; empty for anything else."""
    try:
        first = json.loads(answer.content)["errors"][0]
        return str(first.get("code", "")), str(first.get("message", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        document = answer.content.decode(errors="replace")
        found = [re.search(f"<{name}>([^<]*)</{name}>", document) for name in ("Code", "Message")]
        code, text = (match[1] if match else "" for match in found)
        return code, text


def words(status: int, code: str, text: str) -> str:
    return ": ".join(part for part in (f"HTTP {status}", code, text) if part)


def refusal(what: str, answer: Answer) -> RegistryError:
    given = foreign(answer)
    if given:
        return unexpected(what, f"HTTP {answer.status} with {given}", answer.status)
    code, text = error_of(answer)
    advice = REMEDIES.get(answer.status, "")
    message = f"{what}: {words(answer.status, code, text)}." + (f" {advice}" if advice else "")
    return RegistryError(message, answer.status, code, text)


def foreign(answer: Answer) -> str:
    """Return what a proxy or portal sent in place of JSON; empty when none did."""
    if answer.status in REDIRECTS:
        return "a redirection"
    if answer.status >= 500 or answer.status in OWN_PAGES:
        return ""
    if is_page(answer.content):
        return describe(answer.content)
    html = not answer.content and "text/html" in (answer.headers.get("Content-Type") or "")
    return "an HTML page" if html else ""


def unexpected(what: str, given: str, status: int | None = None) -> RegistryError:
    return RegistryError(f"{what}: {given}. {PROXY}", status, UNEXPECTED, given)
