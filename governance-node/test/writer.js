// Another process of a test: adds one to a shared entry, so many times.

import { Governance } from '../index.js'

const [home, author, times] = process.argv.slice(2)
const governance = await Governance.open({ home })
const board = await governance.blackboard('t', author)
for (let written = 0; written < Number(times); ) {
  const entry = await board.entry('progress', 'count')
  const { accepted } = await board.putIf('progress', 'count', (entry?.content ?? 0) + 1, entry?.version ?? 0)
  if (accepted) written += 1
}
await governance.close()
