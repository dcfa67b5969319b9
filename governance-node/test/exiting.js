// A process of a test that ends in the middle of its work: `exiting.js HOME HOW`.

import { Governance } from '../index.js'

const [home, how] = process.argv.slice(2)
const governance = await Governance.open({ home, store: 'memory:' })
const [board, bus] = [await governance.blackboard('t', 'ann'), await governance.bus('t', 'ann')]
const quiet = () => {}
await bus.join()
// What waits for ever, what is under way, and what was just begun.
bus.receive().catch(quiet)
board.events()[Symbol.asyncIterator]().next().catch(quiet)
for (let n = 0; n < 200; n += 1) board.post('progress', `entry-${n}`, { n, text: 'x'.repeat(1000) }).catch(quiet)
const end = { exit: () => process.exit(7), throw: () => { throw new Error('on purpose') }, close: () => governance.close().then(() => process.exit(7)) }[how]
setTimeout(end, Math.random() * 8)
