"""`python -m exporter` is `sms-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())
