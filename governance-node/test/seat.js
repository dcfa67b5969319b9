// An agent of a test: sits down where a supervisor put it, and does what it is told.

import { Agent } from '../index.js'

const agent = await Agent.seated()
const works = {
  work: async () => {
    for (const phase of ['PLAN', 'EXECUTE']) await agent.enter(phase)
    await agent.propose()
    await agent.handIn()
  },
  evaluate: async () => {
    await agent.evaluate()
    await agent.combine()
  },
  vote: (step) => agent.voteBest(step.proposal),
  message: () => {},
}
for await (const step of agent.steps()) await step.run((told) => works[told.stage](told))
await agent.leave()
