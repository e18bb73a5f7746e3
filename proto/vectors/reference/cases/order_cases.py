"""orders.json: bundles with orders of the admins and approvals."""

from . import bundle_cases
from .ordered_bundles import honest, map_times, orders_of_bundles, staleness
from .ordered_bundles import struck_approvals
from .refused_bundles import refused

DESCRIPTION = (
    "Bundles of releases under break-glass orders, and of releases that were approved again; as in "
    "bundle.json, whose description says how to read them; here a base may have one itself. "
    "`stands_by` says by what the release stands: `signers`, its own; `order`, fewer of them, "
    "until the break-glass order that it names expires (`until`, unix seconds, else null); or "
    "`approval`."
)
SPEC = "9, 10"


def build():
    base, changes, book = honest()
    yield base
    yield from orders_of_bundles(changes, book)
    yield from staleness(changes, book)
    yield from map_times(changes)
    yield from struck_approvals(changes)
    yield from refused(changes, book)


run = bundle_cases.run
