"""Prints, for pip, the lowest supported versions of the packages that we and the kernel need, except those named."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
needed = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
for requirement in needed:
    floor = re.match(r"([\w.-]+)>=([\d.]+)", requirement)
    if floor is None:
        sys.exit(f"{requirement} names no lowest version")
    if floor[1] not in sys.argv[1:]:
        print(f"{floor[1]}=={floor[2]}")
