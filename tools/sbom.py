# Copyright (c) 2026 The gpuops.runpod authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bill of materials of a release, in CycloneDX: what the artifact is, and what it needs that is not in it.

python -m tools.sbom ARTIFACT
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]


def bill(archive: Path) -> str:
    """Return the SBOM of an artifact, which is the same for the same artifact."""
    with tarfile.open(archive) as source:
        info = json.loads(read(source, "MANIFEST.json"))["collection_info"]
        python = requirements(read(source, "requirements.txt"))
        system = sorted({line.split()[0] for line in requirements(read(source, "bindep.txt"))})
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    name = f"{info['namespace']}.{info['name']}"
    needed = [
        *(component("ansible", key, bounds) for key, bounds in sorted(info["dependencies"].items())),
        *(component("pypi", *split(line)) for line in python),
        *(component("deb", each, "", "application") for each in system),
    ]
    root: Json = {
        "type": "library",
        "bom-ref": name,
        "group": info["namespace"],
        "name": info["name"],
        "version": info["version"],
        "description": info["description"],
        "licenses": [{"license": {"id": info["license"][0]}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "externalReferences": [
            {"type": "vcs", "url": info["repository"]},
            {"type": "issue-tracker", "url": info["issues"]},
        ],
    }
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": root},
        "components": needed,
        "dependencies": [
            {"ref": name, "dependsOn": [each["bom-ref"] for each in needed]},
            *({"ref": each["bom-ref"]} for each in needed),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def read(source: tarfile.TarFile, name: str) -> str:
    file = source.extractfile(name)
    return file.read().decode() if file else ""


def requirements(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def split(requirement: str) -> tuple[str, str]:
    name = requirement.partition(">=")[0]
    return name, requirement[len(name) :]


def component(kind: str, name: str, bounds: str, what: str = "library") -> Json:
    """Return what is said of something needed: not a version, as whoever installs chooses it, but the bounds."""
    found: Json = {"type": what, "bom-ref": f"{kind}:{name}", "name": name, "scope": "required"}
    if kind == "pypi":
        found["purl"] = f"pkg:pypi/{name}"
    if bounds:
        found["properties"] = [{"name": "gpuops:versions", "value": bounds}]
    return found


if __name__ == "__main__":
    sys.stdout.write(bill(Path(sys.argv[1])))
