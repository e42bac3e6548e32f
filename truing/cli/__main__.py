"""`python -m truing.cli`, for machines where the script `truing` is not on the path."""

import sys

from truing.cli.app import main

sys.exit(main())
