"""The Cairn protocol, a second time: makes and checks its vectors, audits a served log.

Usage:
  cairn_reference.py generate DIR                      write the vector files
  cairn_reference.py check DIR                         recompute every case of them
  cairn_reference.py merkle DIR                        run a folder of RFC 6962 vectors
  cairn_reference.py audit URL --trust FILE [--expect-levels N]
"""

import argparse
import json
import sys

sys.dont_write_bytecode = True  # this folder holds sources and vectors only

from reference import harness, http_audit, rfc6962
from reference.canon import Refused


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("generate", "check", "merkle"):
        commands.add_parser(name).add_argument("folder")
    audit = commands.add_parser("audit")
    audit.add_argument("url")
    audit.add_argument("--trust", required=True)
    audit.add_argument("--expect-levels", type=int)
    return parser.parse_args()


def main():
    given = arguments()
    if given.command == "audit":
        try:
            report = http_audit.audit(given.url, given.trust, given.expect_levels)
        except (Refused, OSError, KeyError, ValueError) as error:
            report = {"ok": False, "problems": [{"where": "trust", "detail": str(error)}]}
        print(json.dumps(report))
        return 0 if report["ok"] else 1
    commands = {"generate": harness.generate, "check": harness.check, "merkle": rfc6962.run}
    return commands[given.command](given.folder)


if __name__ == "__main__":
    sys.exit(main())
