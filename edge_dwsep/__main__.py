"""``python -m edge_dwsep`` does what the script ``edge-dwsep`` does."""

import sys

from edge_dwsep.cli import main

if __name__ == "__main__":
    sys.exit(main())
