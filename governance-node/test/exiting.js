// A process of a test that ends in the middle of its work: `exiting.js HOME HOW`.

import { Governance } from '../index.js'

const [home, how] = process.argv.slice(2)
const governance = await Governance.open({ home, store: 'memory:' })
const [board, bus] = [await governance.blackboard('t', 'ann'), await governance.bus('t', 'ann')]
const quiet = () => {}
await bus.join()
// Its heartbeat goes on in the background.
const agent = await governance.agent('alpha', await governance.begin('to end in the middle'))
if (how !== 'leave') fillWithWork()

/** What waits for ever, what is under way, and what was just begun; then the end. */
function fillWithWork() {
  bus.receive().catch(quiet)
  agent.nextStep().catch(quiet)
  agent.propose().catch(quiet)
  board.events().next().catch(quiet)
  for (let n = 0; n < 200; n += 1) board.post('progress', `entry-${n}`, { n, text: 'x'.repeat(1000) }).catch(quiet)
  const ways = {
    exit: () => process.exit(7),
    throw: () => {
      throw new Error('on purpose')
    },
    close: () => governance.close().then(() => process.exit(7)),
  }
  setTimeout(ways[how], Math.random() * 8)
}
