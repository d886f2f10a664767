"""Tests of xanes_live."""
