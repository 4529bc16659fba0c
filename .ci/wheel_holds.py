"""Fails unless a wheel contains exactly the package and its metadata."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
strangers = [name for name in names if not name.startswith("comet_magic/") and ".dist-info/" not in name]
odd = [
    name
    for name in names
    if name.startswith("comet_magic/") and not name.endswith((".py", ".css", ".js", "py.typed"))
]
print(f"{len(names)} files in the wheel")
sys.exit(f"these do not belong in the wheel: {strangers + odd}" if strangers or odd else 0)
