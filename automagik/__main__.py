"""`python -m automagik …` is `automagik …`."""

import sys

from automagik.cli.cli import main

sys.exit(main())
