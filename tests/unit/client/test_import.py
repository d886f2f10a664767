import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["xanes_live.client", "xanes_live.publish.writer"])
def test_importing_needs_neither_torch_nor_the_server(name):
    code = f"""
import sys
import {name}
heavy = {{"torch", "pandas", "matplotlib", "larch", "databroker", "ophyd", "fastapi", "uvicorn"}}
heavy |= {{"xarray", "h5py"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert not any(m.startswith(("tiled.server", "xanes_live.service")) for m in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
