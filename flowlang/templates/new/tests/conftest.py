"""Compiles the project's flows before its tests run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
subprocess.run([sys.executable, "-m", "flowlang", "compile", str(ROOT)], check=True)
