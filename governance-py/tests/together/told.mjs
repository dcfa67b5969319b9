// An agent of Bun or Node that joins by itself and does what it is told, a line of JSON each, until its standard input ends.
// `{work: CALL}` makes a call again and again, and tells whenever something else came of it; the count goes on.

import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

import { Governance, GovernanceError } from 'governance'

const tell = (what) => writeSync(1, `${JSON.stringify(what)}\n`)
const [home, root] = process.argv.slice(2)
const governance = await Governance.open({ home })
const agent = await governance.agent('alpha', await governance.begin('Do as told'), { role: 'alpha', tier: 'T1', root })
let ended = false

async function call({ action, with: given, raise }) {
  let ran = false
  const tool = ({ file, text }) => {
    ran = true
    if (file !== undefined) writeSync(file, text)
    if (raise !== undefined) throw new TypeError(raise)
  }
  const options = { action }
  if (given.host !== undefined) options.targetFrom = 'host'
  if (given.file !== undefined) Object.assign(options, { pathFrom: 'file', opened: 'w' })
  try {
    await agent.govern(tool, options)(given)
    return { ran }
  } catch (error) {
    if (error instanceof GovernanceError) return { ran, code: error.code, message: error.message, details: error.details }
    return { ran, code: 'raised' }
  }
}

async function work(asked) {
  let last
  for (let count = 0; !ended; count += 1) {
    const done = await call(asked)
    const came = done.code ?? 'ran'
    if (came !== last) tell({ came, count })
    last = came
    await sleep(2)
  }
}

tell({ agent: agent.id })
let working
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  if (asked.work) working = work(asked.work)
  else if (asked.post) tell(await agent.blackboard.post('progress', asked.post, {}).then((version) => ({ version }), ({ code }) => ({ code })))
  else tell(await call(asked))
}
ended = true
await working
await governance.close()
