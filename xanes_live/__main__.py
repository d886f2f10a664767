"""`python -m xanes_live` is `xanes-live`."""

from xanes_live.cli import main

main()
