"""What an operator may set in shoal.toml, read once at the start, frozen, and handed down as plain values.

The only room that reads the environment and the user's folders. No secret stands in the file: it names the variable
or the file that holds one. Every error names the file, the key path, the line where it is known, and the way out.
"""

from shoal.settings.credentials import SecretWarning, secret
from shoal.settings.debugging import debugging
from shoal.settings.document import Loaded, check_text, load
from shoal.settings.doubts import doubts
from shoal.settings.folders import config_dir, data_dir, find_file, new_file
from shoal.settings.sections import Settings
from shoal.settings.writer import add_provider, write_starter

__all__ = [
    "Loaded",
    "SecretWarning",
    "Settings",
    "add_provider",
    "check_text",
    "config_dir",
    "data_dir",
    "debugging",
    "doubts",
    "find_file",
    "load",
    "new_file",
    "secret",
    "write_starter",
]
