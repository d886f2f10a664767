"""A simulated beamline: real Bluesky documents from measured, public-domain spectra.

It runs in a process of its own (:mod:`xanes_live.demo.beamline`) and knows nothing of the service
that watches it, as a beamline would not. :mod:`xanes_live.demo.programme` says what it measures and
what should become of each scan.
"""
