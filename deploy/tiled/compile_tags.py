"""Write the tag definitions of ``tags.yml`` to Tiled's catalogue.

    CATALOG_URI=postgresql://... python compile_tags.py tags.yml principals.json

Names in braces in ``tags.yml`` stand for the service accounts listed in ``principals.json`` (role →
identifier), which :mod:`make_keys` makes. Tiled 0.2.20 compiles tags but has no command for it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def definitions(text: str, principals: Mapping[str, str]) -> dict[str, Any]:
    """Return the definitions in `text` with every ``{role}`` replaced by its account.

    Raises
    ------
    ValueError
        If `text` names a role that has no account.
    """
    missing = set(re.findall(r'"\{(\w+)\}"', text)) - principals.keys()
    if missing:
        raise ValueError(f"no service account for {', '.join(sorted(missing))}: run make_keys.py")
    for role, identifier in principals.items():
        text = text.replace(f'"{{{role}}}"', json.dumps(identifier))
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


async def compile_tags(catalog_uri: str, tags: dict[str, Any]) -> None:
    """Bring the catalogue's tables of tags to the state of `tags`; unchanged tags keep their nodes.

    Parameters
    ----------
    catalog_uri
        Database of the catalogue, as in Tiled's configuration.
    tags
        Roles, groups, tags and owners.
    """
    from tiled.access_control.access_tags import AccessTagsCompiler  # noqa: PLC0415 - the server
    from tiled.access_control.scopes import ALL_SCOPES  # noqa: PLC0415
    from tiled.server.connection_pool import close_database_connection_pool  # noqa: PLC0415
    from tiled.server.settings import DatabaseSettings  # noqa: PLC0415

    groups = tags.get("groups") or {}
    settings = DatabaseSettings(uri=catalog_uri)
    compiler = AccessTagsCompiler(ALL_SCOPES, tags, settings, lambda name: groups[name])
    compiler.load_tag_config()
    await compiler.compile()
    await close_database_connection_pool(settings)


def main(arguments: list[str] | None = None) -> int:
    """Compile one file; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write tag definitions to Tiled's catalogue.")
    parser.add_argument("tags", type=Path)
    parser.add_argument("principals", type=Path)
    options = parser.parse_args(arguments)
    catalog = os.environ.get("CATALOG_URI", "")
    if not catalog:
        sys.stderr.write("compile_tags: CATALOG_URI is not set\n")
        return 2
    principals = json.loads(options.principals.read_text())
    asyncio.run(compile_tags(catalog, definitions(options.tags.read_text(), principals)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
