"""What others do: their programs run in an environment of their own, which is made once.

The programs in this folder are run by that environment's Python and import nothing of ours.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

from benchmarks.report import say

REQUIREMENTS = (
    "celery[redis]>=5.6,<6",
    "celery-redbeat",
    "django-celery-beat",
    "sqlalchemy-celery-beat",
    "apscheduler>=3.11,<4",
    "gevent",
    "psycopg2-binary",
    "requests",
    "sqlalchemy",
)
FOLDER = Path(__file__).parent


def are_installed() -> bool:
    return (_environment() / "complete").exists()


def peers_python() -> Path:
    """The Python of the environment with all peers."""
    environment = _environment()
    python = environment / "bin" / "python"
    if not are_installed():
        say(f"Installing the peers into {environment}")
        uv = shutil.which("uv")
        if uv is None:
            raise FileNotFoundError("uv is not on the PATH; the peers are installed with it")
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True
        )
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", python, *REQUIREMENTS], check=True
        )
        (environment / "complete").touch()
    return python


def _environment() -> Path:
    known = hashlib.sha256("\n".join((sys.version, *REQUIREMENTS)).encode()).hexdigest()[:12]
    return user_cache_path("automagik-benchmarks") / f"peers-{known}"
