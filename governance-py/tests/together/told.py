"""An agent that joins by itself and does what it is told, a line of JSON each, until its standard input ends."""

import json
import sys
from typing import IO, Any, Optional

from governance import GovernanceError
from governance.blocking import Governance


def tell(what: Any) -> None:
    print(json.dumps(what), flush=True)


home, root = sys.argv[1:3]
with Governance.open(home=home) as governance:
    with governance.agent("alpha", governance.begin("Do as told"), role="alpha", tier="T1", root=root) as agent:
        tell({"agent": agent.id})
        for line in sys.stdin:
            asked = json.loads(line)
            ran = False

            def tool(*, host: Optional[str] = None, file: Optional[IO[str]] = None, text: str = "") -> None:
                global ran
                ran = True
                if file is not None:
                    file.write(text)
                if "raise" in asked:
                    raise ValueError(asked["raise"])

            try:
                if "post" in asked:
                    tell({"version": agent.blackboard.post("progress", asked["post"], {})})
                    continue
                options: dict[str, Any] = {"action": asked["action"]}
                if "host" in asked["with"]:
                    options["target_from"] = "host"
                if "file" in asked["with"]:
                    options.update(path_from="file", opened="w")
                governed: Any = agent.govern(tool, **options)
                governed(**asked["with"])
                tell({"ran": ran})
            except GovernanceError as error:
                tell({"ran": ran, "code": error.code, "message": str(error), "details": error.details})
            except ValueError:
                tell({"ran": ran, "code": "raised"})
