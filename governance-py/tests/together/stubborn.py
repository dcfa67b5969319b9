"""An agent that writes for ever, whatever it is told, and does not go when it is asked to."""

import signal
import time

from governance import GovernanceError
from governance.blocking import Agent

signal.signal(signal.SIGTERM, signal.SIG_IGN)
agent = Agent.seated()
number = 0
while True:
    try:
        agent.blackboard.post("progress", f"late-{number}", {"at": time.time()})
        number += 1
    except GovernanceError as error:
        print(error.code, flush=True)
    time.sleep(0.01)
