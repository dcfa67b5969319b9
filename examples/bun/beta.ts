// BETA in Bun: proposes, judges, joins what was proposed, votes.
//
// A run starts it and hands it its seat on standard input:
//
//     npm install --prefix examples
//     cargo governance run "Design a caching strategy" --agent "beta=examples/node_modules/.bin/bun examples/bun/beta.ts"

import { existsSync, readSync } from 'node:fs'

import { Agent, type Step } from 'governance'

// Leaves in order at the end, however that comes.
await using agent = await Agent.seated({ root: '.' })
console.log(`${agent.id} thinks with ${agent.model.name}`)

// Decided by the profile of the agent's tier, and recorded: T0, observer, may read README.md, and little else. It is handed the open file.
const headline = agent.govern(
  ({ file }: { file: number | string }) => {
    const piece = Buffer.alloc(80)
    return piece.toString('utf8', 0, readSync(Number(file), piece)).split('\n')[0]
  },
  { action: 'read_file', pathFrom: 'file', opened: 'r' },
)

async function take(step: Step) {
  switch (step.stage) {
    case 'work':
      await agent.enter('PLAN')
      if (existsSync('README.md')) console.log(`this is about ${await headline({ file: 'README.md' })}`)
      // Where the profile of its tier wants plans approved, people are asked about this one, and waited for.
      await agent.output({ objective: agent.objective, steps: ['propose an alternative', 'verify it'] })
      await agent.enter('EXECUTE', { waiting: 3_600_000 })
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
