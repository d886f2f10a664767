"""``xanes-live bench``: our way and the plain one side by side, on the machine it is run on."""
