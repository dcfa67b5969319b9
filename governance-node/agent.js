import { Blackboard } from './blackboard.js'
import { ErrorBudget } from './budget.js'
import { MessageBus } from './bus.js'
import { concept } from './concept.js'
import { Consensus } from './consensus.js'
import { Model } from './model.js'
import { Step } from './step.js'

/** A governed agent that lives in this process. */
export const Agent = concept('Agent', {
  opens: { seated: [] },
  properties: ['id', 'role', 'pipeline', 'tier', 'objective', 'tries'],
  parts: { blackboard: () => Blackboard, bus: () => MessageBus, consensus: () => Consensus, budget: () => ErrorBudget, model: () => Model },
  checks: ['check'],
  methods: {
    phase: [],
    enter: ['phase'],
    analyse: [],
    propose: [],
    offer: ['name', 'idea'],
    proposals: [],
    evaluate: [],
    combine: [],
    mediate: ['reason'],
    handIn: [],
    vote: ['proposal', 'choice'],
    voteBest: ['proposal'],
    nextEvent: [],
    leave: [],
  },
  handles: { nextStep: [() => Step, []] },
  streams: { events: [], steps: [] },
  items: { steps: () => Step },
  disposal: 'leave',
})
