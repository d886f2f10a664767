"""From a structure to its spectrum: FEFF8L potentials, full multiple scattering of our own.

Never imported by the live path.
"""
