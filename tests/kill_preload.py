"""What every worker of ``kill_worker`` needs, imported and warmed up once in the server that forks them.

As in the platform, whose runs fork from such a server; here also MLflow, whose import takes seconds. Nothing
here may start a thread: a fork would not have it.
"""

from __future__ import annotations

import mlflow.artifacts
import mlflow.sklearn  # noqa: F401
import skops.io  # noqa: F401

from lostark_ml.model import training  # noqa: F401
from lostark_platform.services.warm_up import load_code_location, warm_up
from tests import kill_worker  # noqa: F401

for module in ("lostark_assets.definitions", "lostark_ml.definitions"):
    load_code_location(module)
warm_up()
