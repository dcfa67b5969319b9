// BETA in Node: proposes, judges, joins what was proposed, votes.
//
// A run starts it and hands it its seat on standard input:
//
//     npm install --prefix examples
//     cargo governance run "Design a caching strategy" --agent "beta=node examples/node/beta.mjs"

import { Agent } from 'governance'

const agent = await Agent.seated()
console.log(`${agent.id} thinks with ${agent.model.name}`)

const does = {
  async work() {
    await agent.enter('PLAN')
    await agent.enter('EXECUTE')
    await agent.propose()
    await agent.bus.broadcast({ proposed: agent.id })
    await agent.handIn()
  },
  async evaluate() {
    await agent.evaluate()
    await agent.combine()
  },
  async vote({ proposal }) {
    await agent.voteBest(proposal)
  },
  message({ message }) {
    console.log(`${message.from} says ${JSON.stringify(message.body)}`)
  },
}

try {
  // Each step is reported as done, or as failed with what was thrown.
  for await (const step of agent.steps()) await step.run((step) => does[step.stage]?.(step))
} finally {
  await agent.leave()
}
