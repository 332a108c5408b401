"""Make the project's own environment in .venv, with nothing but python3 on the machine.

Tried in this order: uv on PATH; uv installed into .tools with pip --target;
venv with its own pip. A Debian python3 has neither pip nor venv: there pip comes
from the distribution's own package, downloaded and unpacked without root. All
ways install the same pinned versions (constraints.txt). Run by the Makefile;
running it again does nothing until pyproject.toml or constraints.txt change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
PYTHON = VENV / "bin" / "python"
EXTRAS = ("bench", "docs", "mutation")  # installers only warn of an extra that does not exist


def wanted_stamp(extra: str) -> str:
    """Return a digest of everything that decides what is installed."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return f"{sys.version_info[:3]} {extra} {digest.hexdigest()}"


def quietly(*command: str, env: dict[str, str] | None = None) -> bool:
    """Run a command; True if it exists and succeeded."""
    try:
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def debian_pip() -> list[str] | None:
    """Return a command that runs pip out of Debian's package of it, unpacked below .tools; None elsewhere."""
    folder = TOOLS / "debian"
    if not list(folder.glob("usr/share/python-wheels/pip-*.whl")):
        folder.mkdir(parents=True, exist_ok=True)
        if not quietly("sh", "-c", f"cd '{folder}' && apt-get download python3-pip-whl"):
            return None
        for package in folder.glob("python3-pip-whl_*.deb"):
            quietly("dpkg-deb", "-x", str(package), str(folder))
    wheels = sorted(folder.glob("usr/share/python-wheels/pip-*.whl"))
    return [sys.executable, f"{wheels[-1]}/pip"] if wheels else None


def find_pip() -> list[str] | None:
    """Return a command that runs pip."""
    if quietly(sys.executable, "-m", "pip", "--version"):
        return [sys.executable, "-m", "pip"]
    return debian_pip()


def find_uv() -> list[str] | None:
    """Return a command that runs uv, installing it into .tools if pip allows."""
    on_path = shutil.which("uv")
    if on_path:
        return [on_path]
    binary = TOOLS / "bin" / "uv"
    if not binary.exists():
        pip = find_pip()
        if pip:
            quietly(*pip, "install", "--quiet", "--disable-pip-version-check", "--target", str(TOOLS), "uv")
    return [str(binary)] if binary.exists() else None


def install(extra: str) -> None:
    """Create .venv and install the project editable with `extra`, pinned."""
    wish = ["-e", f"{ROOT}[{extra}]", "-c", str(ROOT / "constraints.txt")]
    uv = find_uv()
    if uv and quietly(*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)):
        command = [*uv, "pip", "install", "--quiet", "--python", str(PYTHON), *wish]
    elif PYTHON.exists() or quietly(sys.executable, "-m", "venv", str(VENV)):
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wish]
    else:
        sys.exit(
            "flyball: this python3 has neither pip nor a working venv module, so nothing can be installed.\n"
            "On Debian or Ubuntu: apt-get install python3-venv   (or python3-pip), then run make again."
        )
    print("flyball: installing into .venv (once) ...", file=sys.stderr, flush=True)
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    subprocess.run(command, check=True, env=environment, cwd=ROOT)


def main() -> None:
    """Install if anything that decides the installation changed."""
    if sys.version_info < (3, 11):
        sys.exit(f"flyball needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
    unknown = [name for name in sys.argv[1:] if name not in EXTRAS]
    if unknown:
        sys.exit(f"flyball: no such extra: {', '.join(unknown)}; there is: {', '.join(EXTRAS)}")
    extra = ",".join(["dev", *sys.argv[1:]])
    stamp = wanted_stamp(extra)
    # One stamp per set of extras, so that `make test` and `make bench` in turn install each only once.
    written = VENV / f"flyball-installed-{extra.replace(',', '-')}"
    if written.exists() and written.read_text() == stamp and PYTHON.exists():
        return
    install(extra)
    written.write_text(stamp)


if __name__ == "__main__":
    main()
