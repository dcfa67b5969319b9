// BETA in Bun: proposes, judges, joins what was proposed, votes.
//
// A run starts it and hands it its seat on standard input:
//
//     npm install --prefix examples
//     cargo governance run "Design a caching strategy" --agent "beta=examples/node_modules/.bin/bun examples/bun/beta.ts"

import { Agent, type Step } from 'governance'

// Leaves in order at the end, however that comes.
await using agent = await Agent.seated()
console.log(`${agent.id} thinks with ${agent.model.name}`)

async function take(step: Step) {
  switch (step.stage) {
    case 'work':
      await agent.enter('PLAN')
      await agent.enter('EXECUTE')
      await agent.propose()
      await agent.bus.broadcast({ proposed: agent.id })
      return agent.handIn()
    case 'evaluate':
      await agent.evaluate()
      return agent.combine()
    case 'vote':
      return agent.voteBest(step.proposal!)
    case 'message':
      console.log(`${step.message!.from} says ${JSON.stringify(step.message!.body)}`)
  }
}

// Each step is reported as done, or as failed with what was thrown.
for await (const step of agent.steps()) await step.run(take)
