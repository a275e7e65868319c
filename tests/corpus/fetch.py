"""Bring the packages of packages.txt into a cache directory, by each registry's own client.

Apart because it is the only part of the tests that needs a network. A package that is
there already is not fetched again. Run as a program it fills `.cache/corpus`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "corpus"


@dataclass(frozen=True)
class Package:
    registry: str  # deb, npm or pypi
    name: str
    version: str  # "" for what the archive has now

    @property
    def directory(self) -> str:
        return f"{self.registry}-{self.name}" + (f"-{self.version}" if self.version else "")


def listed() -> list[Package]:
    """The packages in the order of packages.txt."""
    lines = (line.split("#")[0].split() for line in (HERE / "packages.txt").read_text().splitlines())
    found = []
    for line in lines:
        if line:
            name, _, version = line[1].partition("==")
            found.append(Package(line[0], name, version))
    return found


def fetch(cache: Path = CACHE) -> list[Path]:
    """Directories with the unpacked packages; CalledProcessError names what failed."""
    return [_unpacked(package, cache) for package in listed()]


def _unpacked(package: Package, cache: Path) -> Path:
    target = cache / package.directory
    if target.is_dir():
        return target
    work = cache / f"{package.directory}.part"
    shutil.rmtree(work, ignore_errors=True)
    (work / "archive").mkdir(parents=True)
    subprocess.run(_command(package), cwd=work / "archive", check=True, stdout=subprocess.DEVNULL)
    (archive,) = (work / "archive").iterdir()
    if package.registry == "deb":
        subprocess.run(["dpkg-deb", "-x", str(archive), str(work / "files")], check=True)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(work / "files", filter="data")
    (work / "files").rename(target)
    shutil.rmtree(work)
    return target


def _command(package: Package) -> list[str]:
    if package.registry == "deb":
        return ["apt-get", "download", "-q", package.name]
    if package.registry == "npm":
        return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    source = f"{package.name}=={package.version}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    return [*pip, "--no-deps", "--no-binary", package.name, source]


if __name__ == "__main__":
    for path in fetch():
        print(path)
