"""Draws from a budget that others draw from too. Says `started` before each thing that it would do."""

import sys
import time

from governance.blocking import Governance

with Governance.open(home=sys.argv[1]) as governance:
    share = governance.budget("shared").allowance("calls", piece=7, ttl=2)
    until = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < until:
        if share.draw(1):
            print("started", flush=True)
        else:
            # What a dead holder did not start comes back after its share's two seconds.
            time.sleep(0.05)
    share.close()
