# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are mirrored between real registries, by a real skopeo."""

from __future__ import annotations

import base64
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.sandbox.images import OCI, Sample, build, digest

from .conftest import ROOT, House

pytestmark = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("skopeo")), reason="needs docker-registry and skopeo"
)

IMAGE = build(Sample("us-east-1", "app", "v1", ("amd64", "arm64")))
DIGEST = digest(IMAGE.manifest)
PASSWORD = "password"
BCRYPT = "$2b$04$NhbJ66HxjFvGAr.noIbk9OLRfyT.YnrcFiNc0MdfIGZCNlM2.5.Vi"
START_SECONDS = 20.0
PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
"""


class Place(NamedTuple):
    """A registry, and what a client needs to trust it."""

    host: str
    certificate: Path
    config: Path
    log: Path

    def ask(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Any:
        login = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        url = path if path.startswith("https:") else f"https://{self.host}{path}"
        request = urllib.request.Request(url, data, {"Authorization": f"Basic {login}", **given}, method=method)
        context = ssl.create_default_context(cafile=str(self.certificate))
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        ).open(request)

    def push(self, repository: str, tag: str) -> None:
        for blob in IMAGE.blobs:
            where = self.ask("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
            self.ask("PUT", f"{where}&digest={digest(blob)}", blob, Content_Type="application/octet-stream")
        for manifest in IMAGE.platforms:
            media_type = json.loads(manifest)["mediaType"]
            self.ask("PUT", f"/v2/{repository}/manifests/{digest(manifest)}", manifest, Content_Type=media_type)
        self.ask("PUT", f"/v2/{repository}/manifests/{tag}", IMAGE.manifest, Content_Type=OCI.listing)

    def digest(self, repository: str, reference: str) -> str | None:
        try:
            return self.ask("GET", f"/v2/{repository}/manifests/{reference}", Accept=OCI.listing).headers[
                "Docker-Content-Digest"
            ]
        except HTTPError as error:
            assert error.code == 404
            return None

    def requests(self) -> list[str]:
        """Return what was asked for since the last look, without what proves a login."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        found = [line.split('"')[1].rpartition(" ")[0] for line in lines if '"' in line and "HTTP/" in line]
        return [request for request in found if not request.endswith("/v2/")]


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback that is its own authority; return its file and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry that wants a login, on loopback, with nothing but an image app:v1."""
    directory = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    public, key = certificate(directory)
    (directory / "htpasswd").write_text(f"AWS:{BCRYPT}\n")
    config, log = directory / "config.yml", directory / "access.log"
    config.write_text(
        yaml.safe_dump(
            {
                "version": "0.1",
                "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
                "auth": {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}},
                "http": {"addr": host, "tls": {"certificate": str(public), "key": str(key)}},
            }
        )
    )
    with log.open("ab") as output:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=output, stderr=output)
    made = Place(host, public, config, log)
    try:
        _await(made)
        made.push("app", "v1")
        yield made
    finally:
        process.terminate()
        process.wait()


def _await(place: Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            place.ask("GET", "/v2/")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def play(house: House, tmp_path: Path, place: Place, *arguments: str, **options: Any) -> Any:
    """Mirror with options; return the recap's counters and the output."""
    login = {"username": "AWS", "password": "{{ lookup('ansible.builtin.env', 'LOGIN') }}"}
    task = {
        "name": "Mirror",
        "gpuops.runpod.ecr_image_mirror": {"source_auth": login, "destination_auth": login, **options},
    }
    playbook = tmp_path / "mirror.yml"
    playbook.write_text(PLAY + "    - " + json.dumps(task) + "\n")
    return house.play(
        playbook,
        *arguments,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / "playbooks" / "collections"),
        SSL_CERT_FILE=str(place.certificate),
        LOGIN=PASSWORD,
        TMPDIR=str(tmp_path),
    )


def test_a_mirror_is_made_once_and_then_in_sync(house: House, tmp_path: Path, place: Place) -> None:
    options = {"source": f"{place.host}/app:v1", "destination": f"{place.host}/mirror"}
    checked = play(house, tmp_path, place, "--check", **options)
    assert (checked.code, checked.recap["changed"]) == (0, 1), checked.output
    assert place.digest("mirror", "v1") is None

    made = play(house, tmp_path, place, "-vvv", **options)
    assert (made.code, made.recap["changed"]) == (0, 1), made.output
    assert place.digest("mirror", "v1") == DIGEST
    assert base64.b64encode(f"AWS:{PASSWORD}".encode()).decode() not in made.output

    place.requests()
    again = play(house, tmp_path, place, **options)
    assert (again.code, again.recap["changed"]) == (0, 0), again.output
    assert sorted(place.requests()) == ["HEAD /v2/app/manifests/v1", "HEAD /v2/mirror/manifests/v1"]


def test_an_image_without_a_tag_and_one_of_one_platform(house: House, tmp_path: Path, place: Place) -> None:
    arm = digest(IMAGE.platforms[1])
    untagged = play(house, tmp_path, place, source=f"{place.host}/app@{DIGEST}", destination=f"{place.host}/untagged")
    assert (untagged.code, untagged.recap["changed"]) == (0, 1), untagged.output
    assert place.digest("untagged", DIGEST) == DIGEST
    options = {"platforms": "one", "platform": "linux/arm64"}
    one = play(house, tmp_path, place, source=f"{place.host}/app:v1", destination=f"{place.host}/one", **options)
    assert (one.code, one.recap["changed"]) == (0, 1), one.output
    with place.ask("GET", f"/v2/one/manifests/{arm}", Accept="application/vnd.oci.image.manifest.v1+json") as held:
        assert held.headers["Docker-Content-Digest"] == arm


def test_a_wrong_login_and_a_missing_image_are_told(house: House, tmp_path: Path, place: Place) -> None:
    options = {"source": f"{place.host}/app:v1", "destination": f"{place.host}/mirror2"}
    refused = play(house, tmp_path, place, **{**options, "source_auth": {"username": "AWS", "password": "wrong-one"}})
    assert refused.code and "The registry does not accept the login" in refused.output
    absent = play(house, tmp_path, place, **{**options, "source": f"{place.host}/app:v9"})
    assert absent.code and f"These images do not exist: {place.host}/app:v9" in absent.output
    assert place.digest("mirror2", "v1") is None
