// Draws from a budget that others draw from too. Says `started` before each thing that it would do.

import { writeSync } from 'node:fs'
import { Governance } from 'governance'

const [home, seconds] = process.argv.slice(2)
const governance = await Governance.open({ home })
const share = await (await governance.budget('shared')).allowance('calls', 7, 2000)
const until = performance.now() + Number(seconds) * 1000
while (performance.now() < until) {
  if ((await share.draw(1)).admitted) writeSync(1, 'started\n')
  // What a dead holder did not start comes back after its share's two seconds.
  else await new Promise((go) => setTimeout(go, 50))
}
await share.close()
await governance.close()
