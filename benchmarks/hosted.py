"""The real service as a plain WSGI application, so that any server can run it: `benchmarks.hosted:app`.

Takes its settings' file from HOSTED_CONFIG. The service itself runs under the server of `botify.serving` only.
"""

import os
from pathlib import Path

from botify.http.app import create_app
from botify.model.catalogue import load_catalogue
from botify.model.model import load_model
from botify.service import Service
from botify.settings import load_settings

_settings = load_settings(Path(os.environ["HOSTED_CONFIG"]), {}, {}, [])
app = create_app(Service(_settings, load_model(_settings, load_catalogue(_settings.catalog))))
