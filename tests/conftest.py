"""What all tests share: no test writes into the data folder that a person works with."""

from __future__ import annotations

import os
import tempfile

# Before any module of the platform is imported: definitions read the environment when they are loaded.
os.environ["LOSTARK_HOME"] = tempfile.mkdtemp(prefix="lostark-tests-")
